import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const folder = join(root, 'declarations');
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['none'] }, ts.sys, root);
/** The package's names, such as `rlpa/node`, and their sources. */
const entries = Object.entries(options.paths!).flatMap(([name, [path]]) => (name.startsWith('rlpa') ? [{ name, path: path! }] : []));

/** Where the declarations of a source are. */
const declared = (path: string) => join(folder, path.replace(/^\.\/src/, '').replace(/\.ts$/, '.d.ts'));

/** Whoever uses the package with the strictest of checks: what there may be, may be undefined. */
const application = `
import { wrapLanguageModel } from 'ai';
import { aiSdkChat, openAIChat, memoryStore, personalized, PersonalizedAgent, PPOTrainer, ProfileSchema, SFTTrainer } from 'rlpa';
import type { AiSdkLanguageModel, ChatModel, LocalPolicy, PPOTrainerOptions, ProfileStore, SFTTrainerOptions, TrainablePolicy } from 'rlpa';

declare const text: string | undefined;
declare const count: number | undefined;
declare const signal: AbortSignal | undefined;
declare const store: ProfileStore | undefined;
declare const languageModel: AiSdkLanguageModel & Parameters<typeof wrapLanguageModel>[0]['model'];
declare const policy: LocalPolicy;
declare const training: Pick<PPOTrainerOptions, 'policy' | 'environment' | 'personas'>;
declare const { examples }: SFTTrainerOptions;

const { standard: schema } = ProfileSchema;
const model: ChatModel = openAIChat({ model: 'm', baseURL: text, apiKey: text, timeoutMs: count });
export const agent = new PersonalizedAgent({ schema, model, store, instruction: text, signal });
export const turn = agent.respond({ userId: 'u1', message: 'Hello', sessionId: text, signal, timeoutMs: count });
export const settled = agent.settled('u1', { signal, timeoutMs: count });
export const answer = model.generate({ messages: [], maxTokens: count, signal });
const middleware = personalized({ schema, store: memoryStore(), userId: 'u1', sessionId: text, consent: undefined, timeoutMs: count });
export const wrapped = wrapLanguageModel({ model: languageModel, middleware });
export const chat = aiSdkChat(languageModel, { maxRetries: count });
export const trainable: TrainablePolicy = policy;
export const ppo = new PPOTrainer({ ...training, seed: count, stopKl: count, checkpoints: undefined });
export const run = ppo.train({ iterations: 1, resume: undefined, signal });
export const sft = new SFTTrainer({ policy, examples, epochs: count });
`;

/** The declarations that come with the package, each file by its path, and the application beside them. */
function writtenFiles(): Map<string, string> {
  const files = new Map([[join(folder, 'application.ts'), application]]);
  const sources = entries.map(({ path }) => join(root, path));
  const emitting = { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true, declarationDir: folder, noCheck: true };
  ts.createProgram(sources, emitting).emit(undefined, (path, text) => files.set(path, text));
  return files;
}

function exactProgram(files: ReadonlyMap<string, string>): ts.Program {
  const exact: ts.CompilerOptions = {
    ...options,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    paths: Object.fromEntries(entries.map(({ name, path }) => [name, [declared(path)]])),
  };
  const host = ts.createCompilerHost(exact);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.directoryExists = undefined; // the folder is not on disk
  return ts.createProgram([join(folder, 'application.ts'), ...entries.map(({ path }) => declared(path))], exact, host);
}

/** The options of exported types that may be left out and may not be undefined, as `Type.option`. */
function refusingUndefined(program: ts.Program): string[] {
  const checker = program.getTypeChecker();
  const refusing = entries.flatMap(({ path }) => {
    const entry = checker.getSymbolAtLocation(program.getSourceFile(declared(path))!)!;
    const exported = checker.getExportsOfModule(entry).filter((symbol) => /(?:Options|Request|Budget)$/.test(symbol.name));
    return exported.flatMap((symbol) => {
      const type = checker.getDeclaredTypeOfSymbol(symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
      return checker
        .getPropertiesOfType(type)
        .filter((property) => property.flags & ts.SymbolFlags.Optional && !takesUndefined(checker, property))
        .map((property) => `${symbol.name}.${property.name}`);
    });
  });
  return [...new Set(refusing)];
}

/** Not where undefined only stands for what is left out, which is a type of its own. */
function takesUndefined(checker: ts.TypeChecker, property: ts.Symbol): boolean {
  const type = checker.getTypeOfSymbol(property);
  return type.isUnion() ? type.types.includes(checker.getUndefinedType()) : Boolean(type.flags & ts.TypeFlags.Unknown);
}

describe('for an application with `exactOptionalPropertyTypes` and without `skipLibCheck`', () => {
  it('the declarations compile, and options take undefined for nothing', () => {
    const files = writtenFiles();
    const program = exactProgram(files);
    const errors = [...files.keys()].flatMap((path) => {
      const source = program.getSourceFile(path);
      const diagnostics = source ? [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)] : [];
      return diagnostics.map(
        ({ messageText }) => `${path.slice(folder.length + 1)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      );
    });
    expect(errors).toEqual([]);
    expect(refusingUndefined(program)).toEqual([]);
  }, 600_000);
});
