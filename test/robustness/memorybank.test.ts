import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { PersonalizedAgent, type StoredItem } from '../../src/agent/index';
import { ProfileSchema, slot } from '../../src/profile/index';
import { scriptedChatModel } from '../../src/testing/index';
import { describeWithShared, sharedPath } from '../shared';

const bank = 'data/memorybank/memory_bank_en.json';

const schema = ProfileSchema.define({
  name: slot.one(z.string()),
  mood: slot.one(z.string(), { description: 'how they feel at the moment' }),
  story: slot.one(z.string(), { description: 'the book or film that they spoke of last' }),
  outing: slot.one(z.string(), { description: 'where they went last' }),
  interests: slot.many(z.string()),
});

interface Found {
  readonly slot: 'name' | 'mood' | 'story' | 'outing' | 'interests';
  readonly value: string;
}

const patterns: readonly (readonly [Found['slot'], RegExp])[] = [
  ['name', /\bmy name is ([A-Z][a-z]+)/g],
  [
    'mood',
    /\bI(?:'m| am|'ve been)? (?:feel|feeling|felt) (?:(?:a|bit|little|really|very|pretty|so|quite|much) )*(?!like\b|the\b|it\b|that\b|a\b|exceptionally\b)([a-z]+)/g,
  ],
  ['story', /\b(?:read|reading|watched|saw|see|book|movie|novel|film)\b[^".?!]*"([^"]+?)[,.]?"/g],
  ['outing', /\bI (?:just |recently )?went to (?:a |an |the )?([a-z]+(?: [a-z]+)?)/g],
  [
    'interests',
    /\bI (?:really |also |just )?(?:like|love|enjoy|prefer) (?!(?:the|this|that|some|it|to|doing|your|my|and)\b)([A-Za-z-]+(?: [a-z]{4,})?)/g,
  ],
];

/**
 * What the message says, by patterns: a language model would find more, and nothing else would be different. Of two values for one place
 * the last: a turn is one moment.
 */
function extract(message: string): Found[] {
  const found = patterns.flatMap(([kind, pattern]) =>
    [...message.matchAll(pattern)].map((match) => ({ at: match.index, slot: kind, value: match[1]! })),
  );
  const inOrder = found.sort((a, b) => a.at - b.at);
  const isLast = ({ slot: kind }: Found, index: number) =>
    kind === 'interests' || !inOrder.slice(index + 1).some((later) => later.slot === kind);
  return inOrder.filter(isLast).map(({ slot: kind, value }) => ({ slot: kind, value }));
}

/** Whether two spellings are one value, as the test sees it. */
const plain = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9 ]/g, ' ')
    .replace(/\b(?:a|an|the)\b/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();

interface Fact {
  readonly slot: string;
  readonly value: string;
  readonly from: string;
  to?: string;
}

/** The history, kept once more and in the simplest way: a new value ends the one before. */
function note(facts: Fact[], { slot: kind, value }: Found, at: string): void {
  const current = facts.filter((fact) => fact.slot === kind && fact.to === undefined);
  if (current.some((fact) => plain(fact.value) === plain(value))) return;
  if (kind !== 'interests' && current[0]) current[0].to = at;
  facts.push({ slot: kind, value, from: at });
}

describeWithShared('ten days of fifteen people, in the order of their dates', bank, () => {
  it('leave every superseded fact in the history with both dates, and nothing twice', async () => {
    const people: Record<string, { history: Record<string, { query: string; response: string }[]> }> = JSON.parse(
      await readFile(sharedPath(bank), 'utf8'),
    );
    expect(Object.keys(people)).toHaveLength(15);
    let clock = new Date(0);
    let reply = '';
    let proposed: readonly Found[] = [];
    const model = scriptedChatModel(
      () =>
        JSON.stringify({
          changes: proposed.map(({ slot: kind, value }) => ({
            op: kind === 'interests' ? 'add' : 'set',
            slot: kind,
            value,
            evidence: null,
          })),
          reply,
        }),
      { structuredOutput: true },
    );
    const agent = new PersonalizedAgent({ schema, model, now: () => clock });
    const expected = new Map<string, Fact[]>(Object.keys(people).map((name) => [name, []]));
    const messages = new Map<string, string>();
    let superseded = 0;
    agent.on('contradiction', () => superseded++);

    // All people of a day, then the next day.
    const days = [...new Set(Object.values(people).flatMap(({ history }) => Object.keys(history)))].sort();
    for (const day of days) {
      for (const [name, { history }] of Object.entries(people)) {
        for (const [turn, { query, response }] of (history[day] ?? []).entries()) {
          clock = new Date(`${day}T09:${String(turn).padStart(2, '0')}:00Z`);
          reply = response;
          const facts = expected.get(name)!;
          const found = extract(query);
          // Extractors repeat themselves: all interests again, in another spelling.
          const again = facts
            .filter((fact) => fact.slot === 'interests')
            .map(({ value }): Found => ({ slot: 'interests', value: `The ${value.toUpperCase()}!` }));
          proposed = [...found, ...again];
          for (const each of found) note(facts, each, clock.toISOString());
          const result = await agent.respond({ userId: name, sessionId: day, message: query });
          messages.set(result.messageId, query);
          expect(result.rejected).toEqual([]);
          expect(result.reply).toBe(response);
        }
      }
    }

    const told = ({ slot: kind, value, from, to }: Fact) => [kind, plain(value), from, to];
    let ended = 0;
    for (const [name, facts] of expected) {
      const history = (await agent.history(name)) as readonly StoredItem[];
      const kept = history.map(({ slot: kind, value, validFrom, validTo }) => [kind, plain(String(value)), validFrom, validTo]);
      expect(kept.map(String).sort()).toEqual(facts.map(told).map(String).sort());
      ended += history.filter(({ validTo }) => validTo !== undefined).length;

      const current = history
        .filter(({ validTo }) => validTo === undefined)
        .map(({ slot: kind, value }) => `${kind}: ${plain(String(value))}`);
      expect(new Set(current).size).toBe(current.length);
      expect((await agent.profile(name)).size).toBe(current.length);
      for (const { supersedes, validFrom, source, evidence } of history) {
        if (supersedes !== undefined) expect(history.find(({ id }) => id === supersedes)?.validTo).toBe(validFrom);
        expect(source).toBe('stated');
        expect(messages.get(evidence!.messageId)!.slice(evidence!.start, evidence!.end)).toBe(evidence!.text);
      }
    }
    expect(ended).toBe(superseded);
    expect(ended).toBeGreaterThan(40);
  });
});
