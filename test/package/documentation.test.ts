import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** A block of TypeScript on a page: what a reader pastes into a file of their own. */
interface Sample {
  readonly page: string;
  /** Of the page, where the code begins. */
  readonly line: number;
  readonly code: string;
}

const pages = ['README.md', ...['docs', 'examples'].flatMap(pagesIn)].map((page) => {
  const text = readFileSync(join(root, page), 'utf8');
  return { page, samples: samplesOf(page, text), links: [...text.matchAll(/\]\((?!http)([^)#]+)/g)].map(([, path]) => path!) };
});

function pagesIn(folder: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.md')).map((file) => `${folder}/${file}`);
}

function samplesOf(page: string, text: string): Sample[] {
  return [...text.matchAll(/^( *)```(?:ts|typescript)\b[^\n]*\n(.*?)^\1```$/gms)].map(({ 2: code, index }) => ({
    page,
    line: text.slice(0, index).split('\n').length + 1,
    code: code!,
  }));
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
    const samples = pages.flatMap((page) => page.samples);
    const [first] = samples;
    expect(first?.page).toBe('README.md');
    const misspelt = { page: 'misspelt', line: 1, code: first!.code.replace('values.occupation', 'values.ocupation') };
    const line = misspelt.code.slice(0, misspelt.code.indexOf('ocupation')).split('\n').length;
    const errors = typeErrors([misspelt, ...samples]);
    expect(errors.filter((error) => !error.startsWith('misspelt'))).toEqual([]);
    expect(errors).toEqual([expect.stringMatching(`^misspelt:${line}: Property 'ocupation' does not exist`)]);
  });

  it.each(pages.flatMap(({ page, links }) => links.map((link) => ({ page, link }))))(
    'links from $page to $link, which is there',
    ({ page, link }) => {
      expect(existsSync(join(root, dirname(page), link))).toBe(true);
    },
  );
});
