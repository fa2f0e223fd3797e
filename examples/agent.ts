/**
 * A chatbot that learns who it talks to, turn by turn.
 *
 *   RLPA_POLICY=runs/tiny/policy npx tsx examples/agent.ts
 *
 * examples/speaker.ts says who may answer: a policy trained on this machine, OpenAI, or a server of your own.
 */
import { changeText, PersonalizedAgent } from 'rlpa/agent';
import { openSpeaker, schema } from './speaker';

const { model, prompt, dispose } = await openSpeaker();
try {
  const agent = new PersonalizedAgent({ schema, model, prompt });
  const superseded: string[] = [];
  agent.on('contradiction', ({ slot, before, after }) => superseded.push(`${slot} was ${before.value} and is ${after.value} now`));

  for (const message of ['Hello', 'I work as a nurse.', 'I really like jazz.', 'I live in London.', 'I work as a teacher.']) {
    process.stdout.write(`user:  ${message}\nagent: `);
    for await (const part of agent.stream({ userId: 'u1', message, signal: AbortSignal.timeout(60_000) })) {
      if (part.type === 'reply') process.stdout.write(part.text);
      if (part.type !== 'finish') continue;
      process.stdout.write('\n');
      for (const change of part.changes)
        console.log(`  ${changeText(change)} (${change.source}: ${change.evidence?.text ?? 'no evidence'})`);
      for (const contradiction of superseded.splice(0)) console.log(`  ${contradiction}`);
      if (part.problem) console.log(`  problem: ${part.problem.message}`);
    }
  }
  console.log('\nKnown in the end:', (await agent.profile('u1')).toJSON());
} finally {
  await dispose();
}
