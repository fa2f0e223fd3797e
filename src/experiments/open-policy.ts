import { transcriptPrompt } from '../agent/index';
import { LocalPolicy } from '../policy/index';
import type { OpenedPolicy } from './experiment';
import { pretrainedSetting, readSetting, schemaOf } from './setting';

/** A saved policy with all that an agent needs to speak with it. */
export async function openPolicy(folder: string, signal?: AbortSignal): Promise<OpenedPolicy> {
  const setting = (await readSetting(folder)) ?? pretrainedSetting('generated');
  const policy = await LocalPolicy.load(folder, { signal });
  const { instruction, history } = setting;
  return {
    model: policy.asChatModel(),
    schema: schemaOf(setting),
    prompt: transcriptPrompt({ instruction, history }),
    dispose: () => policy.dispose(),
  };
}
