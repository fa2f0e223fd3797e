import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as rlpa from 'rlpa';
import { cpuDevice, fileCheckpoints, fileStore, postgresStore, sqliteStore, webgpuDevice } from 'rlpa/node';
import { serveAgent } from 'rlpa/server';
import { scriptedChatModel, scriptedUser } from 'rlpa/testing';
import { tinyTask } from 'rlpa/tiny';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const { ProfileSchema, LocalPolicy } = rlpa;
const schema = ProfileSchema.standard;
const model = scriptedChatModel([]);
const agent = new rlpa.PersonalizedAgent({ schema, model });
const user = new rlpa.SimulatedUser({ behaviour: rlpa.scriptedBehaviour() });
const [persona] = rlpa.generatePersonas({ count: 1, seed: 1 });
const sdkModel = { specificationVersion: 'v3', modelId: 'none', doGenerate() {}, doStream() {} } as unknown as rlpa.AiSdkLanguageModel;

/** An object of a class without what its constructor needs: options are looked at before anything else. */
const bare = <T>(prototype: T): T => Object.create(prototype as object);
const policy = bare(LocalPolicy.prototype);
const environment = bare(rlpa.DialogueEnvironment.prototype);
const tokenizer = bare(rlpa.Tokenizer.prototype);

/** All that takes options, by the names that {@link publicDoors} gives, and how it is called with them. */
const doors: Readonly<Record<string, (options: never) => unknown>> = {
  aiSdkChat: (options) => rlpa.aiSdkChat(sdkModel, options),
  'ChatTemplate.render': (options) => new rlpa.ChatTemplate().render([], options),
  chatPolicy: (options) => rlpa.chatPolicy(model, options),
  'chatPolicy().act': (options) => rlpa.chatPolicy(model).act([], options),
  conflictPersonas: (options) => rlpa.conflictPersonas(options),
  cpuDevice: (options) => cpuDevice(options),
  dialogueAdvantages: (options) => rlpa.dialogueAdvantages([], 0, options),
  DialogueEnvironment: (options) => new rlpa.DialogueEnvironment(options),
  'DialogueEnvironment.reset': (options) => environment.reset(options),
  'DialogueEnvironment.rollout': (options) => environment.rollout(options),
  'DialogueEnvironment.step': (options) => environment.step({} as never, {} as never, options),
  DualReward: (options) => new rlpa.DualReward(options),
  embeddingMatcher: (options) => rlpa.embeddingMatcher(options),
  evaluate: (options) => rlpa.evaluate(options),
  fencedPrompt: (options) => rlpa.fencedPrompt(options),
  fileCheckpoints: (options) => fileCheckpoints('folder', options),
  fileStore: (options) => fileStore(options),
  fuzzyMatcher: (options) => rlpa.fuzzyMatcher(options),
  generatePersonas: (options) => rlpa.generatePersonas(options),
  judgedMatcher: (options) => rlpa.judgedMatcher(options),
  LocalPolicy: (options) => new LocalPolicy({} as never, {} as never, options),
  'LocalPolicy, the model': (options) => new LocalPolicy({} as never, options),
  'LocalPolicy.accumulatePPO': (options) => policy.accumulatePPO([], options),
  'LocalPolicy.act': (options) => policy.act([], options),
  'LocalPolicy.asChatModel': (options) => policy.asChatModel(options),
  'LocalPolicy.create': (options) => LocalPolicy.create(options),
  'LocalPolicy.exportOnnx': (options) => policy.exportOnnx('folder', options),
  'LocalPolicy.load': (options) => LocalPolicy.load('folder', options),
  'LocalPolicy.sample': (options) => policy.sample([], options),
  'LocalPolicy.sampleAlongside': (options) => policy.sampleAlongside(options),
  'LocalPolicy.save': (options) => policy.save('folder', options),
  'LocalPolicy.score': (options) => policy.score([], options),
  'LocalPolicy.update': (options) => policy.update(options),
  matchItems: (options) => rlpa.matchItems([], [], rlpa.exactMatcher(), options),
  modelBehaviour: (options) => rlpa.modelBehaviour(options),
  openAIChat: (options) => rlpa.openAIChat(options),
  openWebGpu: (options) => rlpa.openWebGpu(options),
  parseAloe: (options) => rlpa.parseAloe('"She reads."', '"She is calm."', options),
  parseTurn: (options) => rlpa.parseTurn(schema, '', options),
  personalized: (options) => rlpa.personalized(options),
  'personalized().settled': (options) => rlpa.personalized({ schema, store: rlpa.memoryStore(), userId: 'u1' }).settled(options),
  PersonalizedAgent: (options) => new rlpa.PersonalizedAgent(options),
  'PersonalizedAgent.edit': (options) => agent.edit('u1', [], options),
  'PersonalizedAgent.erase': (options) => agent.erase('u1', options),
  'PersonalizedAgent.export': (options) => agent.export('u1', options),
  'PersonalizedAgent.history': (options) => agent.history('u1', options),
  'PersonalizedAgent.profile': (options) => agent.profile('u1', options),
  'PersonalizedAgent.respond': (options) => agent.respond(options),
  'PersonalizedAgent.settled': (options) => agent.settled('u1', options),
  'PersonalizedAgent.stream': (options) => agent.stream(options).next(),
  postgresStore: (options) => postgresStore(options),
  PPOTrainer: (options) => new rlpa.PPOTrainer(options),
  'PPOTrainer.train': (options) => bare(rlpa.PPOTrainer.prototype).train(options),
  profileF1: (options) => rlpa.profileF1([], [], options),
  profileReward: (options) => rlpa.profileReward(options),
  recordedPersonas: (options) => rlpa.recordedPersonas([], options),
  reportEpisodes: (options) => rlpa.reportEpisodes([], options),
  responseReward: (options) => rlpa.responseReward(options),
  rubricJudge: (options) => rlpa.rubricJudge(options),
  ruleJudge: (options) => rlpa.ruleJudge(options),
  scriptedBehaviour: (options) => rlpa.scriptedBehaviour(options),
  scriptedChatModel: (options) => scriptedChatModel([], options),
  serveAgent: (options) => serveAgent(options),
  SFTTrainer: (options) => new rlpa.SFTTrainer(options),
  'SFTTrainer.train': (options) => bare(rlpa.SFTTrainer.prototype).train(options),
  SimulatedUser: (options) => new rlpa.SimulatedUser(options),
  'UserSession.next': (options) => user.begin(persona!, new rlpa.Random(1)).next([], options),
  sqliteStore: (options) => sqliteStore(options),
  tinyTask: (options) => tinyTask(options),
  'tinyTask().warmStart': (options) => tinyTask({ size: 'micro' }).warmStart(options),
  'Tokenizer.decode': (options) => tokenizer.decode([], options),
  'Tokenizer.encode': (options) => tokenizer.encode('', options),
  'Tokenizer.stream': (options) => tokenizer.stream(options),
  trainTokenizer: (options) => rlpa.trainTokenizer(options),
  transcriptPrompt: (options) => rlpa.transcriptPrompt(options),
  transformersChat: (options) => rlpa.transformersChat(options),
  webgpuDevice: (options) => webgpuDevice(options),
  withLimits: (options) => rlpa.withLimits(model, options),
};

/** Options that are objects of options themselves. */
const inner: Readonly<Record<string, (options: never) => unknown>> = {
  'limits of LocalPolicy': (limits) => new LocalPolicy({} as never, {} as never, { limits }),
  'limits of LocalPolicy.sample': (limits) => policy.sample([], { limits }),
  'lora of LocalPolicy': (lora) => new LocalPolicy({} as never, { template: {} } as never, { lora }),
  'prices of PersonalizedAgent': (prices) => new rlpa.PersonalizedAgent({ schema, model, prices }),
  'promptBudget of PersonalizedAgent': (promptBudget) => new rlpa.PersonalizedAgent({ schema, model, promptBudget }),
  'weights of DualReward': (weights) => new rlpa.DualReward({ weights }),
};

/**
 * The functions and methods that entry points export and that have a parameter for options: one whose type has a name as options have, or is
 * written there. Methods of what functions return are not found.
 */
function publicDoors(): string[] {
  const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['none'] }, ts.sys, root);
  const entries = Object.entries(options.paths!).flatMap(([name, [path]]) => (name.startsWith('rlpa') ? [join(root, path!)] : []));
  const program = ts.createProgram(entries, options);
  const checker = program.getTypeChecker();
  const takesOptions = ({ parameters }: ts.SignatureDeclarationBase) =>
    parameters.some(({ type }) => type !== undefined && /^\{|(?:Options|ChatLimits|TurnRequest)\b/.test(type.getText()));
  const exported = entries.flatMap((path) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)!)!));
  const found = exported.flatMap((symbol) => {
    const { name, declarations = [] } = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return declarations.flatMap((declaration) => {
      if (ts.isFunctionDeclaration(declaration)) return takesOptions(declaration) ? [name] : [];
      if (!ts.isClassDeclaration(declaration)) return [];
      return declaration.members.flatMap((member) => {
        if (ts.isConstructorDeclaration(member)) return takesOptions(member) ? [name] : [];
        const isPublic = ts.isMethodDeclaration(member) && ts.isIdentifier(member.name);
        return isPublic && takesOptions(member) ? [`${name}.${member.name.text}`] : [];
      });
    });
  });
  return [...new Set(found)];
}

/** What a call ends with, at once or later. */
async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return error;
  }
}

describe('an option that there is not', () => {
  it.each(Object.entries({ ...doors, ...inner }))('is refused by %s', async (_, call) => {
    const message = expect.stringMatching(/ has no option 'misspelt': expected one of \w/);
    const refusal = { code: 'invalid-option', message, details: { option: 'misspelt' } };
    expect(await failureOf(() => call({ misspelt: 'secret' } as never))).toMatchObject(refusal);
  });

  it.each(Object.entries(doors))('is told from no object at all by %s', async (_, call) => {
    expect(await failureOf(() => call(null as never))).toMatchObject({ code: 'invalid-option' });
  });

  it('is refused by every function that an entry point exports', () => {
    const found = publicDoors();
    expect(found).toEqual(expect.arrayContaining(['serveAgent', 'LocalPolicy.load', 'DialogueEnvironment']));
    // the last parameter of the error is JavaScript's own
    expect(found.filter((name) => !(name in doors) && name !== 'RlpaError')).toEqual([]);
  });

  it('is refused where others spread what they were given', async () => {
    const talk = scriptedUser(['Hello']).talkTo(agent, { userId: 'u1', sesionId: 's1' } as never);
    await expect(talk).rejects.toThrow("A turn has no option 'sesionId'");
    expect(rlpa.conflictPersonas({ count: 1, seed: 1, turn: 3 })[0]!.change!.turn).toBe(3);
  });

  it('is not looked for in a text, which may be a key or have a password in it', () => {
    expect(() => postgresStore('postgres://me:secret@host/db' as never)).toThrow(
      'postgresStore: expected an object of options, found a text.',
    );
  });

  it('does not cost the device that was given with it', async () => {
    let disposals = 0;
    const device = { dispose: async () => void disposals++ } as unknown as rlpa.Device;
    const given = { device, misspelt: 1 } as never;
    for (const call of [
      LocalPolicy.create,
      tinyTask({ size: 'micro' }).warmStart,
      (options: never) => LocalPolicy.load('folder', options),
    ]) {
      disposals = 0;
      expect(await failureOf(() => call(given))).toMatchObject({ code: 'invalid-option' });
      expect(disposals).toBeGreaterThan(0);
    }
  });
});
