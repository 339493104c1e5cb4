import { serveCalls } from "./child.ts";
import { leave } from "./leave.ts";
import { load } from "./load.ts";
import { slow } from "./slow.ts";

/** The bench's clients, a process of their own. */
const api = { load, leave, slow };
export type ClientApi = typeof api;

serveCalls(api);
