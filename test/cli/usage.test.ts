import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandLine } from './command-line';

const folder = mkdtempSync(join(tmpdir(), 'rlpa-cli-'));
const file = join(folder, 'dialogues.csv');
writeFileSync(file, 'a,b\n');
const run = join(folder, 'run');
mkdirSync(join(run, 'policy'), { recursive: true });
writeFileSync(join(run, 'policy', 'rlpa.json'), '{}');
writeFileSync(join(run, 'run.json'), '{}');
const ablation = join(folder, 'ablation');
mkdirSync(join(ablation, 'profile'), { recursive: true });
writeFileSync(join(ablation, 'profile', 'run.json'), '{}');

describe('rlpa --version', () => {
  it("is the package's", async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await commandLine(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('rlpa --help', () => {
  it('lists the commands, where to start, and what the exit codes mean', async () => {
    const { exitCode, stdout } = await commandLine(['--help']);
    expect(exitCode).toBe(0);
    for (const word of ['demo', 'train', 'eval', 'chat', 'Start here', 'Exit codes']) expect(stdout).toContain(word);
  });

  it.each(['demo', 'train', 'eval', 'chat', 'serve'])('explains %s with two examples and no option left undescribed', async (command) => {
    const { exitCode, stdout } = await commandLine([command, '--help']);
    expect(exitCode).toBe(0);
    expect(stdout.match(/^ +\$ rlpa /gm)!.length).toBeGreaterThanOrEqual(2);
    const undescribed = stdout.split('\n').filter((line) => /^ {2}--\S+( <[^>]+>)?$/.test(line));
    expect(undescribed).toEqual([]);
  });

  it('groups the options of train by what they are about', async () => {
    const { stdout } = await commandLine(['train', '--help']);
    const groups = ['Policy:', 'People to talk to:', 'Reward:', 'Chat models as users and judge', 'Training:', 'Files:', 'Output:'];
    expect(groups.map((group) => stdout.indexOf(`\n${group}`))).toEqual(
      groups.map((group) => stdout.indexOf(`\n${group}`)).toSorted((a, b) => a - b),
    );
    expect(stdout.indexOf('\nPolicy:')).toBeGreaterThan(0);
  });

  it('shows the help and fails when no command is given', async () => {
    const { exitCode, stderr } = await commandLine([]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('Usage: rlpa');
  });
});

describe('wrong usage ends with exit code 2, a message that names the culprit, and nothing on stdout', () => {
  it.each([
    ['an unknown command', ['trian'], /trian.*Did you mean train/s],
    ['an unknown option', ['train', '--iteration', '3'], /--iteration.*Did you mean --iterations/s],
    ['an operand that nothing expects', ['train', 'now'], /too many arguments/],
    ['a fraction of a user', ['train', '--users', '1.5'], /--users.*1\.5.*whole number above 0/s],
    ['no iterations', ['train', '--iterations', '0'], /--iterations.*whole number above 0/s],
    ['a learning rate that is no number', ['train', '--learning-rate', 'NaN'], /--learning-rate.*number above 0/s],
    ['a negative KL weight', ['train', '--kl', '-0.1'], /--kl.*0 or above/s],
    ['a negative seed', ['demo', '--seed', '-1'], /--seed.*0 or above/s],
    ['an unknown reward', ['train', '--reward', 'all'], /Allowed choices are profile, response, both/],
    ['no time for a request', ['eval', '--request-timeout', '0'], /--request-timeout.*seconds above 0/s],
    ['a reward beside the ablation of all', ['train', '--ablation', '--reward', 'both'], /cannot be used with/],
    ['an adapter with nowhere to keep its base', ['train', '--lora', '4'], /--lora.*--out FOLDER/],
    ['a dialogue file that is not there', ['train', '--dialogues', '/nowhere.csv'], /--dialogues.*no such file/s],
    ['a policy folder that is not there', ['train', '--policy', '/nowhere'], /--policy.*no such folder/s],
    ['a run where its policy is meant', ['eval', '--policy', run], /--policy.*folder of a run: its policy is in .*policy\./s],
    ['a run to train on', ['train', '--policy', run], /its policy is in .*policy\./],
    ['a run to talk to', ['chat', '--policy', run], /its policy is in .*policy\./],
    ['a run to export', ['export', '--policy', run, '--onnx', 'new'], /its policy is in .*policy\./],
    ['an address without http', ['train', '--judge-model', 'm', '--judge-base-url', 'localhost:1'], /--judge-base-url.*Expected a URL/s],
    ['an address without a model', ['train', '--judge-base-url', 'http://localhost:1'], /--judge-base-url needs --judge-model/],
    ['a model without key or address', ['train', '--user-model', 'm'], /OPENAI_API_KEY.*--user-base-url/s],
    ['resuming nowhere', ['train', '--resume'], /--resume needs --out/],
    ['resuming where nothing is', ['train', '--resume', '--out', join(folder, 'new')], /no run in/],
    ['resuming where something else is', ['train', '--resume', '--out', folder], /no run in \S+\.$/m],
    ['resuming an ablation as if it were one run', ['train', '--resume', '--out', ablation], /no run in \S+; an .* add --ablation\.$/m],
    ['resuming one run as if it were an ablation', ['train', '--ablation', '--resume', '--out', run], /no ablation in \S+; .* leave/],
    ['starting over a run', ['train', '--out', run], /not empty.*--resume/s],
    ['starting over an ablation', ['train', '--ablation', '--out', ablation], /not empty.*--resume/s],
    ['starting where something else is', ['train', '--out', folder], /not empty\. Choose another folder\.$/m],
    ['a file to keep a run in', ['train', '--out', file], /--out.*file.*expected a folder/s],
    ['a file to export to', ['export', '--policy', folder, '--onnx', file], /--onnx.*file.*expected a folder/s],
    ['a folder in a file', ['train', '--out', join(file, 'run')], /--out.*not a directory/s],
    ['a policy folder in a file', ['eval', '--policy', join(file, 'policy')], /--policy.*not a directory/s],
    ['a token file in a file', ['serve', '--token-file', join(file, 'token')], /--token-file.*not a directory/s],
    ['nobody to evaluate', ['eval'], /either --policy FOLDER or --model NAME/],
    ['two to evaluate', ['eval', '--policy', folder, '--model', 'm', '--base-url', 'http://localhost:1'], /either --policy/],
    ['nobody to chat with', ['chat'], /either --policy FOLDER or --model NAME/],
  ])('%s', async (_, argv, message) => {
    const { exitCode, stdout, stderr } = await commandLine(argv);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
  });
});
