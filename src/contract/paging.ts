import * as z from "zod";
import { limits } from "./limits.ts";

/** Input shared by all lists: an opaque cursor from the page before, and the page's size. */
export const PageInput = z.object({
  cursor: z.string().max(200).optional(),
  limit: z.number().int().min(1).max(limits.maxPageSize).default(limits.defaultPageSize),
});
export type PageInput = z.infer<typeof PageInput>;

/** A page: newest first unless the list says otherwise; `nextCursor` is null on the last one. */
export const page = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });
export type Page<T> = { items: T[]; nextCursor: string | null };
