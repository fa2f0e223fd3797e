/**
 * A dialogue with a local policy, turn by turn: the tokens of the prompt, how many of them were held from the turn before, and the time until
 * the reply begins. Beside it the same with another instruction in every turn, so that nothing that is held fits.
 *
 *     npx tsx bench/make-model.ts /tmp/half-billion TOKENIZER_FOLDER
 *     npx tsx bench/dialogue.ts /tmp/half-billion [--turns 6] [--json]
 */
import { cpus, loadavg } from 'node:os';
import type { ChatMessage } from '../src/chat/index';
import { cpuDevice } from '../src/device/cpu/index';
import { LocalPolicy } from '../src/policy/index';
import buildPackage from '../test/build';
import { readArguments } from './arguments';

const { values: options, positionals } = readArguments({
  allowPositionals: true,
  options: { turns: { type: 'string', default: '6' }, json: { type: 'boolean', default: false } },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('Expected the folder of a model: bench/make-model.ts writes one.');

await buildPackage();
const policy = await LocalPolicy.load(folder, { device: cpuDevice() });
const model = policy.asChatModel({ seed: 1, pieceMs: 0 });
const instruction = 'Keep a profile of the user, and reply to each message. '.repeat(12);
const said = 'I spent the weekend in the mountains with my brother, and we talked about moving to another city next year. ';

let dialogues = 0;

async function dialogue(isAfresh: boolean) {
  const rows = [];
  const number = ++dialogues;
  const messages: ChatMessage[] = [{ role: 'system', content: `${number}. ${instruction}` }];
  for (let turn = 1; turn <= Number(options.turns); turn++) {
    messages.push({ role: 'user', content: said });
    const asked = isAfresh ? [{ role: 'system' as const, content: `${number}.${turn}. ${instruction}` }, ...messages.slice(1)] : messages;
    const { reused } = policy.sampling;
    const startedAt = performance.now();
    let firstMs = 0;
    let text = '';
    let tokens = 0;
    for await (const part of model.stream!({ messages: asked, maxTokens: 24 })) {
      if (part.type === 'text') firstMs ||= performance.now() - startedAt;
      else [text, tokens] = [part.text, part.usage.inputTokens];
    }
    rows.push({ turn, tokens, held: policy.sampling.reused - reused, firstMs });
    messages.push({ role: 'assistant', content: text });
  }
  return rows;
}

// the first round compiles
await dialogue(false);
await dialogue(true);
const [held, afresh] = [await dialogue(false), await dialogue(true)];
await policy.dispose();

const rows = held.map((row, i) => ({ ...row, afreshMs: afresh[i]!.firstMs }));
if (options.json) console.log(JSON.stringify({ machine: cpus()[0]?.model, load: loadavg()[0], rows }));
else {
  console.log(`${cpus()[0]?.model}, load ${loadavg()[0]!.toFixed(1)}\n`);
  console.log('| turn | tokens of the prompt | held | reply begins after, ms | with nothing held, ms |');
  console.log('| ---: | ---: | ---: | ---: | ---: |');
  for (const { turn, tokens, held, firstMs, afreshMs } of rows) {
    console.log(`| ${turn} | ${tokens} | ${held} | ${firstMs.toFixed(0)} | ${afreshMs.toFixed(0)} |`);
  }
}
