import { Command } from 'commander';
import { outputFolder, policyFolder } from './arguments';
import type { CommandContext } from './context';
import { printLine } from './terminal';

interface ExportFlags {
  readonly policy: string;
  readonly onnx: string;
  readonly quantized?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  For @huggingface/transformers, in Node and in browsers:
    $ rlpa export --policy runs/first/policy --onnx models/first
    const write = await pipeline('text-generation', 'first');  // with env.localModelPath = 'models'
`;

/** `rlpa export`: a saved policy as ONNX, with its adapter merged into it. */
export function exportCommand(context: CommandContext): Command {
  return new Command('export')
    .description('Write a policy as ONNX, for the text-generation pipeline of @huggingface/transformers.')
    .requiredOption('--policy <folder>', 'a policy that was saved by train, or a model folder', policyFolder)
    .requiredOption('--onnx <folder>', 'where it is written', outputFolder)
    .option('--quantized', 'in 8 bits a value: a quarter of the size')
    .optionsGroup('Output:')
    .option('--json', 'for machines: stdout is one JSON object')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', examples)
    .action((flags: ExportFlags) => exportPolicy(flags, context));
}

async function exportPolicy({ policy: folder, onnx, quantized = false, json }: ExportFlags, context: CommandContext): Promise<void> {
  const { LocalPolicy } = await import('../policy/index');
  const policy = await LocalPolicy.load(folder, { signal: context.signal });
  try {
    await policy.exportOnnx(onnx, { quantized });
  } finally {
    await policy.dispose();
  }
  const outcome = { command: 'export', policy: folder, onnx, quantized };
  printLine(context.terminal.stdout, json ? JSON.stringify(outcome) : `${onnx} holds the policy as ONNX.`);
}
