import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

const pages = ['README.md', ...filesIn('docs', '.md'), ...filesIn('examples', '.md')];
const links = pages.flatMap((page) => [...textOf(page).matchAll(/\]\((?!http)([^)#]+)/g)].map(([, link]) => ({ page, link: link! })));

function filesIn(folder: string, extension: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith(extension)).map((file) => `${folder}/${file}`);
}

function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** TypeScript on a page or in a docstring, with its imports: what a reader pastes into a file of their own. */
interface Sample {
  /** A page of Markdown, or a source. */
  readonly page: string;
  /** Of the page, where the code begins. */
  readonly line: number;
  readonly code: string;
}

/** The blocks of TypeScript on a page of Markdown. */
const block = /^( *)```(?:ts|typescript)\b[^\n]*\n(?<code>.*?)^\1```$/gms;
/** In a docstring, what stands between `@example` and the next tag or the end: code alone, which editors show as such. */
const example = /(?:\/\*\*|^ *\*) @example\b(?<code>.*?)(?=^ *\* @|\*\/)/gms;

function samplesOf(page: string, text: string): Sample[] {
  const isSource = page.endsWith('.ts');
  return [...text.matchAll(isSource ? example : block)].map(({ index, 0: match, groups }) => {
    const code = groups!.code!;
    const line = lineAt(text, index + match.indexOf(code));
    return { page, line, code: isSource ? code.replace(/^ *\* ?/gm, '') : code };
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/**
 * Type errors of samples, each a module of its own, under the project's own options: the library is its sources, and needs no build.
 *
 * @returns `page:line: message` of each error, the line being the page's
 */
function typeErrors(samples: readonly Sample[]): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['none'] }, ts.sys, root);
  const modules = new Map(samples.map((sample, index) => [join(root, `sample-${index + 1}.ts`), sample]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => modules.has(path) || fileExists(path);
  host.readFile = (path) => modules.get(path)?.code ?? readFile(path);
  // a sample without imports is a module all the same: what it declares is not known to others
  const program = ts.createProgram([...modules.keys()], { ...options, moduleDetection: ts.ModuleDetectionKind.Force, noEmit: true }, host);
  return [...modules].flatMap(([path, { page, line }]) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(({ start, messageText }) => {
      const inSample = source.getLineAndCharacterOfPosition(start!).line;
      return `${page}:${line + inSample}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
  });
}

describe('documentation', () => {
  it('shows code that is well typed as it stands', () => {
    const samples = [...pages, ...filesIn('src', '.ts')].flatMap((page) => samplesOf(page, textOf(page)));
    const misspelt = ['README.md', 'src/agent/personalized-agent.ts'].map((page) => {
      const text = textOf(page).replace('values.occupation', 'values.ocupation');
      return { page: `misspelt ${page}`, text, line: lineAt(text, text.indexOf('ocupation')) };
    });
    const errors = typeErrors([...misspelt.flatMap(({ page, text }) => samplesOf(page, text)), ...samples]);
    expect(errors.filter((error) => !error.startsWith('misspelt'))).toEqual([]);
    expect(errors).toEqual(
      misspelt.map(({ page, line }) => expect.stringMatching(`^${page}:${line}: Property 'ocupation' does not exist`)),
    );
  });

  it.each(links)('links from $page to $link, which is there', ({ page, link }) => {
    expect(existsSync(join(root, dirname(page), link))).toBe(true);
  });
});
