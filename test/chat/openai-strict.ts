/** All that OpenAI and Azure both take in a schema with `strict: true`, for every model: developers.openai.com and learn.microsoft.com, structured outputs. */
const keywords = [
  '$defs',
  '$ref',
  'additionalProperties',
  'anyOf',
  'const',
  'description',
  'enum',
  'items',
  'properties',
  'required',
  'type',
];

interface Schema {
  readonly $defs?: Record<string, Schema>;
  readonly $ref?: string;
  readonly additionalProperties?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly type?: string | readonly string[];
}

/** What they say of a schema that breaks their rules; undefined for one that keeps them. */
export function strictRefusal(schema: object): string | undefined {
  const root = schema as Schema;
  const resolve = ($ref: string) => ($ref === '#' ? root : root.$defs?.[$ref.replace('#/$defs/', '')]);

  const firstProperty = (schema: Schema): (readonly [string, Schema])[] => {
    if (schema.$ref !== undefined) return firstProperty(resolve(schema.$ref)!);
    return schema.anyOf?.flatMap(firstProperty) ?? Object.entries(schema.properties ?? {}).slice(0, 1);
  };

  const check = (schema: Schema, path: string): void => {
    const refuse = (problem: string) => {
      throw new Error(`Invalid schema: In context=(${path}), ${problem}.`);
    };
    for (const keyword of Object.keys(schema)) if (!keywords.includes(keyword)) refuse(`'${keyword}' is not permitted`);
    if (schema.$ref !== undefined) {
      if (Object.keys(schema).length > 1) refuse('$ref cannot have keywords');
      if (resolve(schema.$ref) === undefined) refuse('reference can only point to definitions');
      return;
    }
    if (schema.anyOf) {
      if (path === '') refuse("the root must not have 'anyOf'");
      for (const [i, choice] of schema.anyOf.entries()) check(choice, `${path}/anyOf/${i}`);
      const firsts = schema.anyOf.flatMap(firstProperty).flatMap(([name, first]) => {
        const values = first.enum ?? (first.const === undefined ? [undefined] : [first.const]);
        return values.map((value) => ({ name, value }));
      });
      const alike = firsts.some(({ name, value }, i) =>
        firsts.some(
          (other, j) => i !== j && other.name === name && (value === undefined || other.value === undefined || other.value === value),
        ),
      );
      if (alike) refuse("Objects provided via 'anyOf' must not share identical first keys");
    } else if (schema.type === undefined) refuse("schema must have a 'type' key");
    const types = [schema.type].flat();
    if (types.includes('array')) {
      if (schema.items === undefined) refuse("array schema missing 'items'");
      check(schema.items!, `${path}/items`);
    }
    if (types.includes('object')) {
      if (schema.additionalProperties !== false) refuse("'additionalProperties' is required to be supplied and to be false");
      const names = Object.keys(schema.properties!);
      if (JSON.stringify(schema.required) !== JSON.stringify(names)) refuse("'required' is required to include every key in properties");
      for (const name of names) check(schema.properties![name]!, `${path}/${name}`);
    }
  };

  try {
    if (root.type !== 'object') throw new Error('Invalid schema: schema must be a JSON Schema of \'type: "object"\'.');
    check(root, '');
    for (const [name, schema] of Object.entries(root.$defs ?? {})) check(schema, `$defs/${name}`);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
