import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const pages = ['README.md', 'docs/agent.md', 'docs/ai-sdk.md', 'docs/examples.md'].map((page) => {
  const text = readFileSync(join(root, page), 'utf8');
  return {
    page,
    blocks: [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!),
    links: [...text.matchAll(/\]\((?!http)([^)#]+)\)/g)].map(([, path]) => path!),
  };
});

/** Type errors of each of some modules in the project's root, under the project's own options. */
function typeErrors(modules: readonly string[]): string[][] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['none'] }, ts.sys, root);
  const sources = new Map(modules.map((code, index) => [join(root, `readme-${index + 1}.ts`), code]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path) ?? readFile(path);
  const program = ts.createProgram([...sources.keys()], { ...options, noEmit: true }, host);
  return [...sources.keys()].map((path) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(({ start, messageText }) => {
      const { line } = source.getLineAndCharacterOfPosition(start!);
      return `line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
  });
}

describe('documentation', () => {
  it('shows code that is well typed', () => {
    const blocks = pages.flatMap((page) => page.blocks);
    expect(blocks.length).toBeGreaterThan(3);
    const misspelt = blocks[0]!.replace('values.occupation', 'values.ocupation');
    const [ofMisspelt, ...errors] = typeErrors([misspelt, ...blocks]);
    expect(errors).toEqual(blocks.map(() => []));
    expect(ofMisspelt).toEqual([expect.stringContaining('ocupation')]);
  });

  it.each(pages.flatMap(({ page, links }) => links.map((link) => ({ page, link }))))(
    'links from $page to $link, which is there',
    ({ page, link }) => {
      expect(existsSync(join(root, dirname(page), link))).toBe(true);
    },
  );
});
