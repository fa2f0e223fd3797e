import { RlpaError } from '../../errors';
import { type Kernel, renderWgsl } from '../kernels/index';

/** A kernel that is ready to run. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Compiled kernels by their source: programs of all sizes share them, since sizes are uniforms. */
export class Pipelines {
  readonly #compiled = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, { readonly layout: GPUBindGroupLayout; readonly pipelineLayout: GPUPipelineLayout }>();

  constructor(readonly device: GPUDevice) {}

  /** How many kernels were compiled. */
  get size(): number {
    return this.#compiled.size;
  }

  /** @throws `device-failed` with what the compiler says, naming the kernel and where it is used */
  get(kernel: Kernel, usedFor: string): Promise<Pipeline> {
    const source = renderWgsl(kernel);
    let compiled = this.#compiled.get(source);
    if (!compiled) {
      compiled = this.#compile(kernel, source, usedFor);
      this.#compiled.set(source, compiled);
    }
    return compiled;
  }

  async #compile(kernel: Kernel, source: string, usedFor: string): Promise<Pipeline> {
    const { layout, pipelineLayout } = this.#layout(kernel);
    const failed = (reason: string) =>
      new RlpaError('device-failed', `The kernel ${kernel.name}, for ${usedFor}, does not compile on this GPU: ${reason}`, {
        kernel: kernel.name,
        usedFor,
      });
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ code: source, label: kernel.name });
    const scope = this.device.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter(({ type }) => type === 'error');
    if (errors.length > 0) throw failed(errors.map(({ lineNum, message }) => `line ${lineNum}: ${message}`).join('; '));
    const error = await scope;
    if (error) throw failed(error.message);
    try {
      const compute = { module, entryPoint: 'main' };
      return { layout, pipeline: await this.device.createComputePipelineAsync({ label: kernel.name, layout: pipelineLayout, compute }) };
    } catch (cause) {
      throw failed((cause as Error).message);
    }
  }

  #layout({ buffers }: Kernel) {
    const signature = buffers.map(({ access }) => access).join(' ');
    let found = this.#layouts.get(signature);
    if (!found) {
      const layout = this.device.createBindGroupLayout({
        label: signature,
        entries: [
          { binding: 0, visibility: 4, buffer: { type: 'uniform' } },
          ...buffers.map(({ access }, index): GPUBindGroupLayoutEntry => {
            return { binding: index + 1, visibility: 4, buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' } };
          }),
        ],
      });
      found = { layout, pipelineLayout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }) };
      this.#layouts.set(signature, found);
    }
    return found;
  }
}
