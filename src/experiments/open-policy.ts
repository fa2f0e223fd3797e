import { transcriptPrompt } from '../agent/index';
import { LocalPolicy } from '../policy/index';
import { openDevice } from './device';
import type { OpenPolicy } from './experiment';
import { recipeFor } from './recipes';
import { pretrainedSetting, schemaOf } from './setting';
import { readSetting } from './setting-file';

/** A saved policy with all that an agent needs to speak with it. */
export const openPolicy: OpenPolicy = async (folder, { signal, ...options } = {}) => {
  const setting = (await readSetting(folder)) ?? pretrainedSetting('generated');
  const policy = await LocalPolicy.load(folder, { device: await openDevice(options), signal });
  const { instruction, history } = setting;
  const { temperature } = recipeFor(setting);
  return {
    model: policy.asChatModel({ temperature }),
    schema: schemaOf(setting),
    prompt: transcriptPrompt({ instruction, history }),
    dispose: () => policy.dispose(),
  };
};
