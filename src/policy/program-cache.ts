import type { CompileOptions, DeviceLane, Program } from '../device/index';
import type { Graph } from '../tensor/index';
import { TimeSlice } from '../time-slice';

const mostPrograms = 96;

/** Compiled programs by key, the least recently used dropped when there are too many: each holds memory on the device. */
export class ProgramCache {
  readonly #programs = new Map<string, Program>();

  constructor(
    readonly device: DeviceLane,
    readonly options: CompileOptions = {},
  ) {}

  async get(key: string, build: () => Graph | Promise<Graph>): Promise<Program> {
    let program = this.#programs.get(key);
    if (program) this.#programs.delete(key);
    else {
      // what was done before it, the building and what a device makes of it take milliseconds each for a large model
      await new TimeSlice().next();
      program = await this.device.compile(await build(), this.options);
    }
    this.#programs.set(key, program);
    if (this.#programs.size > mostPrograms) {
      const [oldest, dropped] = this.#programs.entries().next().value!;
      this.#programs.delete(oldest);
      this.device.discard(dropped);
    }
    return program;
  }
}
