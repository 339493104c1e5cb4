import type { KeyKind } from "../contract/keys.ts";
import type { Scope } from "../contract/scopes.ts";

/** Who is calling: the key that was shown and the project it belongs to. */
export type Principal = {
  projectId: string;
  keyId: string;
  kind: KeyKind;
  scopes: readonly Scope[];
  /** Origins a publishable key may be used from. */
  origins: readonly string[];
  /** Whether the project keeps requests and answers. */
  keepContents: boolean;
};
