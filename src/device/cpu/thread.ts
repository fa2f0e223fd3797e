import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { RlpaError } from '../../errors';
import type { Progress, Reply, Request, WorkerOptions } from './protocol';

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
export type Call = WithoutId<Request>;

/** What a thread tells the device that it belongs to. */
export interface ThreadOwner {
  /** Something that nobody waits for was not done. */
  refuse(error: RlpaError): void;
  /** It is gone, and with it whatever it was to do. */
  fail(error: RlpaError): void;
}

/** A thread of the CPU device, and what was asked of it. */
export class Thread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: unknown) => void }>();
  readonly #options: WorkerOptions;
  #calls = 0;
  #requests = 0;
  #ending = false;
  readonly #ended: Promise<void>;

  constructor(options: WorkerOptions, owner: ThreadOwner) {
    this.#options = options;
    const path = createRequire(import.meta.url).resolve('#cpu-worker');
    // The program's own flags, such as --input-type or a loader, are not for the thread, which may not even start with them.
    this.#worker = new Worker(pathToFileURL(path), { workerData: options, execArgv: [] });
    this.#worker.on('message', (reply: Reply) => this.#settle(reply, owner));
    this.#worker.on('error', (error) =>
      owner.fail(new RlpaError('device-failed', `The CPU device's thread failed: ${error.message}`, {}, { cause: error })),
    );
    this.#worker.on('exit', () => {
      // whoever waits for what it has not done waits in vain
      Atomics.store(options.served, options.thread, this.#requests);
      Atomics.notify(options.served, options.thread);
      owner.fail(new RlpaError('device-failed', 'The CPU device was disposed of.'));
    });
    this.#ended = new Promise((resolve) => this.#worker.on('exit', () => resolve()));
    this.#worker.unref(); // last: to listen to its messages counts as waiting for it
  }

  /** Where it will be once everything that was asked of it is served. */
  get progress(): Progress {
    return { thread: this.#options.thread, served: this.#requests };
  }

  ask(call: Call): Promise<unknown> {
    const id = this.#calls++;
    return new Promise((resolve, reject) => {
      // the thread keeps the process alive only while somebody waits for it
      if (this.#waiting.size === 0) this.#worker.ref();
      this.#waiting.set(id, { resolve, reject });
      this.#post({ ...call, id });
    });
  }

  tell(call: Call, transfer?: ArrayBuffer[]): void {
    this.#post(call, transfer);
  }

  /** Calls under way fail. */
  fail(error: RlpaError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async end(): Promise<void> {
    // an idle thread does not keep the process alive, but its end is to be waited for, whatever is still answered until then
    this.#ending = true;
    this.#worker.ref();
    // it ends by itself, between two requests: a thread that is stopped within a call of onnxruntime takes the process along
    this.#post({ kind: 'end' });
    await this.#ended;
  }

  #post(request: Request, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer);
    this.#requests = (this.#requests + 1) | 0;
  }

  #settle(reply: Reply, owner: ThreadOwner): void {
    const failure = 'error' in reply ? failureOf(reply) : undefined;
    if (reply.id === undefined) {
      if (failure) owner.refuse(failure);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0 && !this.#ending) this.#worker.unref();
    if ('error' in reply) waiting?.reject(failure);
    else waiting?.resolve(reply.result);
  }
}

/** What `npm install` has to be told where not every version will do: of package.json's peers, the one that is pinned. */
const pinned: Readonly<Record<string, string>> = { 'onnxruntime-node': 'onnxruntime-node@1.30.0' };

function failureOf({ error, missingPackage, missingBytes: bytes }: Extract<Reply, { error: string }>): RlpaError {
  if (missingPackage === undefined) return new RlpaError('device-failed', error, bytes === undefined ? {} : { bytes, outOfMemory: true });
  const advice = `npm install ${pinned[missingPackage] ?? missingPackage}`;
  return new RlpaError('missing-dependency', `The CPU device needs the package ${missingPackage}: ${advice}`, { package: missingPackage });
}
