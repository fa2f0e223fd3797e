import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import type { AgentEvents, PersonalizedAgent, RecordedChange, TurnPart, TurnResult } from '../../src/agent/index';
import { diffProfiles, type Profile, type ProfileChange, ProfileSchema, slot } from '../../src/profile/index';

const schema = ProfileSchema.define({
  occupation: slot.one(z.string()),
  interests: slot.many(z.string()),
  age: slot.one(z.int()),
});
type Slots = typeof schema extends ProfileSchema<infer S> ? S : never;
declare const agent: PersonalizedAgent<Slots>;
declare const turn: TurnResult<Slots>;
declare const profile: Profile<Slots>;

describe('values', () => {
  it('have the types of their slots', () => {
    expectTypeOf(turn.profile.values.age).toEqualTypeOf<number | undefined>();
    expectTypeOf(turn.profile.values.interests).toEqualTypeOf<readonly string[]>();
    expectTypeOf(agent.profile('u1')).resolves.toEqualTypeOf<Profile<Slots>>();
    // @ts-expect-error a slot that the schema does not have
    turn.profile.values.ocupation;
    // @ts-expect-error the same of the schema
    schema.slots.ocupation;
    expectTypeOf(schema.slots.age.cardinality).toEqualTypeOf<'one'>();
  });
});

describe('changes', () => {
  it('name the slots of the schema', () => {
    expectTypeOf<ProfileChange<Slots>['slot']>().toEqualTypeOf<'occupation' | 'interests' | 'age'>();
    expectTypeOf<RecordedChange<Slots>['slot']>().toEqualTypeOf<'occupation' | 'interests' | 'age'>();
    expectTypeOf(turn.changes).toEqualTypeOf<readonly RecordedChange<Slots>[]>();
    expectTypeOf(diffProfiles(profile, profile)).toEqualTypeOf<ProfileChange<Slots>[]>();
    expectTypeOf<ProfileChange['slot']>().toEqualTypeOf<string>();
  });

  it('have values of the type of their slot', () => {
    const [change] = turn.changes;
    if (change?.slot === 'age' && change.op === 'set') expectTypeOf(change.value).toEqualTypeOf<number>();
    if (change?.slot === 'interests' && change.op === 'add') expectTypeOf(change.value).toEqualTypeOf<string>();
    if (change?.slot === 'interests' && change.op === 'set') expectTypeOf(change.value).toEqualTypeOf<readonly string[]>();
    // @ts-expect-error no such slot
    if (change?.slot === 'ocupation') return;
  });

  it('are checked where they are made', () => {
    agent.edit('u1', [
      { op: 'set', slot: 'age', value: 30 },
      { op: 'set', slot: 'interests', value: ['jazz'] },
      { op: 'add', slot: 'interests', value: 'tea' },
      { op: 'remove', slot: 'interests', value: 'jazz' },
      { op: 'remove', slot: 'occupation' },
    ]);
    // @ts-expect-error a slot that the schema does not have
    agent.edit('u1', [{ op: 'set', slot: 'ocupation', value: 'nurse' }]);
    // @ts-expect-error a value of another type
    agent.edit('u1', [{ op: 'set', slot: 'age', value: 'thirty' }]);
    // @ts-expect-error a list slot takes a list
    agent.edit('u1', [{ op: 'set', slot: 'interests', value: 'jazz' }]);
    // @ts-expect-error a slot with one value is set
    agent.edit('u1', [{ op: 'add', slot: 'occupation', value: 'nurse' }]);
    // @ts-expect-error nothing is set to nothing
    agent.edit('u1', [{ op: 'set', slot: 'occupation' }]);
    // @ts-expect-error the same for a profile's own changes
    profile.with([{ op: 'set', slot: 'ocupation', value: 'nurse' }]);
  });
});

describe('events', () => {
  it('carry what the schema says', () => {
    agent.on('change', ({ profile, changes }) => {
      expectTypeOf(profile.values.age).toEqualTypeOf<number | undefined>();
      expectTypeOf(changes[0]!.slot).toEqualTypeOf<'occupation' | 'interests' | 'age'>();
    });
    agent.on('contradiction', (event) => {
      expectTypeOf(event.slot).toEqualTypeOf<'occupation' | 'interests' | 'age'>();
      if (event.slot === 'age') expectTypeOf(event.after.value).toEqualTypeOf<number>();
      // @ts-expect-error no such slot
      if (event.slot === 'ocupation') return;
    });
    agent.on('inferred', ({ changes }) => expectTypeOf(changes).toEqualTypeOf<readonly RecordedChange<Slots>[]>());
    // @ts-expect-error no such event
    agent.on('chnage', () => {});
    expectTypeOf<Parameters<AgentEvents['contradiction']>[0]['slot']>().toEqualTypeOf<string>();
  });

  it('and parts of a stream alike', () => {
    const part = {} as TurnPart<Slots>;
    if (part.type === 'profile') expectTypeOf(part.changes).toEqualTypeOf<readonly RecordedChange<Slots>[]>();
    if (part.type === 'finish') expectTypeOf(part.profile.values.occupation).toEqualTypeOf<string | undefined>();
  });
});

describe('an agent of some schema', () => {
  it('is an agent', () => {
    expectTypeOf(agent).toExtend<PersonalizedAgent>();
    expectTypeOf(turn).toExtend<TurnResult>();
    expectTypeOf(profile).toExtend<Profile>();
    expectTypeOf(schema).toExtend<ProfileSchema>();
  });
});
