/** A buffer that a kernel reads, or reads and writes. */
export interface KernelBuffer {
  readonly name: string;
  /** `vec4f` reads four f32 at a time: for sizes that are multiples of four. WGSL only. */
  readonly type: 'f32' | 'i32' | 'vec4f';
  readonly access: 'read' | 'write';
}

/**
 * One GPU kernel: what it is given, and its statements. The statements find
 * - `group`, the index of their workgroup, and `lane`, that of their thread in it, both u32;
 * - each buffer as an array by its name, each uniform as `p.name`, each array of `shared` memory by its name.
 *
 * A `portable` body keeps to what WGSL and CUDA C++ have in common, so that one source is rendered as both ({@link renderWgsl},
 * {@link renderCuda}): `let` and `var` without types, `for` and `if`, literals with `u` and `f`, conversions `f32(x)`, and the builtins in
 * `docs/webgpu.md`. Others are WGSL.
 */
export interface Kernel {
  /** What it computes, with its variant: `matmul 64x64 transposed-b`. Named in errors. */
  readonly name: string;
  /** Threads of a workgroup. */
  readonly threads: number;
  readonly buffers: readonly KernelBuffer[];
  /** Sizes and numbers that differ from call to call without another compilation. */
  readonly uniforms: readonly { readonly name: string; readonly type: 'u32' | 'f32' }[];
  readonly shared?: readonly { readonly name: string; readonly type: SharedType; readonly size: number }[];
  readonly portable: boolean;
  /** WGSL's directives: `enable f16`, … */
  readonly directives?: readonly string[];
  /** WGSL functions that the body calls. */
  readonly functions?: string;
  readonly body: string;
}

/** `f16` and `vec4h`, four of them, are of WGSL only, as is `vec4f`. */
type SharedType = 'f32' | 'u32' | 'vec4f' | 'f16' | 'vec4h';
const bytesOf: Record<SharedType, number> = { f32: 4, u32: 4, vec4f: 16, f16: 2, vec4h: 8 };

/** Bytes of workgroup memory that a kernel takes. */
export function sharedBytes({ shared = [] }: Kernel): number {
  return shared.reduce((total, { type, size }) => total + size * bytesOf[type], 0);
}

/** Declares buffers of one type that a kernel only reads. */
export const reads = (type: KernelBuffer['type'], ...names: readonly string[]): KernelBuffer[] =>
  names.map((name) => ({ name, type, access: 'read' }));

/** Declares buffers of one type that a kernel writes, and may read. */
export const writes = (type: KernelBuffer['type'], ...names: readonly string[]): KernelBuffer[] =>
  names.map((name) => ({ name, type, access: 'write' }));

/** `x0`, `x1`, … */
export const numbered = (letter: string, count: number) => Array.from({ length: count }, (_, index) => `${letter}${index}`);

/** A kernel with its numbers: `groups` workgroups, uniforms in the kernel's order. */
export interface KernelCall {
  readonly kernel: Kernel;
  readonly uniforms: readonly number[];
  readonly groups: number;
}

/** What a portable body finds in WGSL beside the language. */
const wgslPrelude = `fn floatOfBits(x: u32) -> f32 { return bitcast<f32>(x); }
fn bitsOfFloat(x: f32) -> u32 { return bitcast<u32>(x); }
`;

/** The kernel as WGSL: binding 0 of group 0 holds the uniforms, the buffers follow in their order. */
export function renderWgsl(kernel: Kernel): string {
  const fields = [...kernel.uniforms.map(({ name, type }) => `${name}: ${type}`), 'groupCount: u32'];
  const buffers = kernel.buffers.map(
    ({ name, type, access }, index) =>
      `@group(0) @binding(${index + 1}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: array<${type}>;`,
  );
  const shared = (kernel.shared ?? []).map(({ name, type, size }) => `var<workgroup> ${name}: array<${type}, ${size}>;`);
  const directives = (kernel.directives ?? []).map((directive) => `${directive};\n`).join('');
  return `// ${kernel.name}
${directives}struct Uniforms { ${fields.join(', ')} }
@group(0) @binding(0) var<uniform> p: Uniforms;
${[...buffers, ...shared].join('\n')}
${kernel.portable ? wgslPrelude : ''}${kernel.functions ? `${kernel.functions}\n` : ''}@compute @workgroup_size(${kernel.threads})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = workgroup.x + workgroup.y * workgroups.x;
  if (group >= p.groupCount) { return; }
${kernel.body}
}
`;
}

/** What makes a portable body C++: WGSL's names for types, declarations and builtins. */
export const cudaPrelude = `typedef float f32;
typedef int i32;
typedef unsigned int u32;
#define let const auto
#define var auto
#define workgroupBarrier __syncthreads
template <typename T> __device__ T select(T otherwise, T chosen, bool condition) { return condition ? chosen : otherwise; }
__device__ inline float floatOfBits(u32 x) { return __uint_as_float(x); }
__device__ inline u32 bitsOfFloat(float x) { return __float_as_uint(x); }
`;

/** A portable kernel as CUDA C++, after {@link cudaPrelude}: the buffers are its first parameters, the uniforms its last. */
export function renderCuda(kernel: Kernel): string {
  if (!kernel.portable) throw new TypeError(`${kernel.name} is written in WGSL and can't be rendered as CUDA C++.`);
  const name = kernel.name.replaceAll(/\W+/g, '_');
  const fields = [...kernel.uniforms, { name: 'groupCount', type: 'u32' }].map((field) => `${field.type} ${field.name};`);
  const parameters = kernel.buffers.map(
    (buffer) => `${buffer.access === 'read' ? 'const ' : ''}${buffer.type}* __restrict__ ${buffer.name}`,
  );
  const shared = (kernel.shared ?? []).map(({ name: array, type, size }) => `  __shared__ ${type} ${array}[${size}];`);
  return `struct ${name}_uniforms { ${fields.join(' ')} };
extern "C" __global__ void __launch_bounds__(${kernel.threads}) ${name}(${[...parameters, `const ${name}_uniforms p`].join(', ')}) {
${shared.join('\n')}
  const u32 lane = threadIdx.x;
  const u32 group = blockIdx.x + blockIdx.y * gridDim.x;
  if (group >= p.groupCount) { return; }
${kernel.body}
}
`;
}

/** What a kernel adds to its result before it is written: nothing, the content of another buffer (`addend`), or what y held before. */
export type Accumulate = '' | ' + addend' | ' + itself';

export function accumulation(accumulate: Accumulate): {
  readonly buffers: readonly KernelBuffer[];
  readonly term: (index: string) => string;
} {
  return {
    buffers: accumulate === ' + addend' ? reads('f32', 'addend') : [],
    term: (index) => ({ '': '', ' + addend': ` + addend[${index}]`, ' + itself': ` + y[${index}]` })[accumulate],
  };
}
