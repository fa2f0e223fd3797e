import { createOpenAICompatible as createV4 } from '@ai-sdk/openai-compatible';
import { generateText as generateText7, streamText as streamText7, wrapLanguageModel as wrap7 } from 'ai';
import { generateText as generateText5, streamText as streamText5, wrapLanguageModel as wrap5 } from 'ai-v5';
import { generateText as generateText6, streamText as streamText6, wrapLanguageModel as wrap6 } from 'ai-v6';
import { createOpenAICompatible as createV2 } from 'openai-compatible-v1';
import { createOpenAICompatible as createV3 } from 'openai-compatible-v2';
import type { AiSdkMiddleware } from '../../src/adapters/index';
import type { AiSdkLanguageModel } from '../../src/chat/index';

/** What the three versions' `generateText` and `streamText` take alike. */
export interface Call {
  /** AI SDK 7 calls it `instructions`. */
  readonly system?: string;
  readonly messages: { role: 'user' | 'assistant'; content: string }[];
  readonly abortSignal?: AbortSignal;
  readonly onAbort?: () => void;
}

export interface Streamed {
  readonly textStream: AsyncIterable<string>;
  readonly fullStream: AsyncIterable<{ readonly type: string }>;
  readonly finishReason: PromiseLike<string>;
  readonly providerMetadata: PromiseLike<Record<string, unknown> | undefined>;
}

/** A real provider of one version of the SDK, with the SDK around it. Nothing is cast: that it compiles is part of the test. */
export interface Sdk {
  readonly model: AiSdkLanguageModel;
  generateText(
    middleware: AiSdkMiddleware,
    call: Call,
  ): Promise<{ readonly text: string; readonly providerMetadata: Record<string, unknown> | undefined }>;
  streamText(middleware: AiSdkMiddleware, call: Call): Streamed;
}

export interface ProviderOptions {
  readonly apiKey?: string;
  readonly supportsStructuredOutputs?: boolean;
}

const settings = (baseURL: string, options: ProviderOptions) => ({
  name: 'loopback',
  baseURL,
  includeUsage: true,
  supportsStructuredOutputs: true,
  ...options,
});

export const versions: readonly { readonly name: string; readonly open: (url: string, options?: ProviderOptions) => Sdk }[] = [
  {
    name: 'V2, AI SDK 5',
    open(url, options = {}) {
      const model = createV2(settings(url, options))('test-model');
      return {
        model,
        generateText: (middleware, call) => generateText5({ model: wrap5({ model, middleware }), maxRetries: 0, ...call }),
        streamText: (middleware, call) => streamText5({ model: wrap5({ model, middleware }), maxRetries: 0, onError() {}, ...call }),
      };
    },
  },
  {
    name: 'V3, AI SDK 6',
    open(url, options = {}) {
      const model = createV3(settings(url, options))('test-model');
      return {
        model,
        generateText: (middleware, call) => generateText6({ model: wrap6({ model, middleware }), maxRetries: 0, ...call }),
        streamText: (middleware, call) => streamText6({ model: wrap6({ model, middleware }), maxRetries: 0, onError() {}, ...call }),
      };
    },
  },
  {
    name: 'V4, AI SDK 7',
    open(url, options = {}) {
      const model = createV4(settings(url, options))('test-model');
      return {
        model,
        generateText: (middleware, { system, ...call }) =>
          generateText7({ model: wrap7({ model, middleware }), maxRetries: 0, instructions: system, ...call }),
        streamText: (middleware, { system, ...call }) =>
          streamText7({ model: wrap7({ model, middleware }), maxRetries: 0, instructions: system, onError() {}, ...call }),
      };
    },
  },
];
