import { serveCalls } from "./child.ts";
import { jobs } from "./jobs.ts";
import { leave } from "./leave.ts";
import { load } from "./load.ts";
import { slow } from "./slow.ts";

/** The bench's clients, a process of their own. */
const api = { load, leave, slow, jobs };
export type ClientApi = typeof api;

serveCalls(api);
