/**
 * onnxruntime reports its use to its maker from version 1.30 on, unless the environment says no. What runs in it here reads what people say of
 * themselves, so it says no unless the application has said something else. To be called before onnxruntime is loaded.
 */
export function withoutTelemetry(): void {
  const { env } = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process ?? {};
  if (env) env.ORT_DISABLE_TELEMETRY ??= '1';
}
