import {
  CreatedKey,
  CreateKeyInput,
  Key,
  KeyIdInput,
  KeyPage,
  ListKeysInput,
  RotateKeyInput,
} from "../../contract/keys.ts";
import { procedure, router } from "./init.ts";

const managed = procedure("keys:manage");

export const keysRouter = router({
  /** A new key of the project; `secret` is shown in this answer only. A key grants no scope that it lacks itself. */
  create: managed
    .input(CreateKeyInput)
    .output(CreatedKey)
    .mutation(({ ctx, input }) => ctx.useCases.keys.create(ctx.principal, input)),

  /** All keys, newest first, without their secrets. */
  list: managed
    .input(ListKeysInput)
    .output(KeyPage)
    .query(({ ctx, input }) => ctx.useCases.keys.list(ctx.principal, input)),

  /** Replaces a key; the old one works on for `overlapSeconds`. `conflict` when it is revoked or expired. */
  rotate: managed
    .input(RotateKeyInput)
    .output(CreatedKey)
    .mutation(({ ctx, input }) => ctx.useCases.keys.rotate(ctx.principal, input)),

  /** Ends a key for good, everywhere within 10 seconds. Revoking again changes nothing. */
  revoke: managed
    .input(KeyIdInput)
    .output(Key)
    .mutation(({ ctx, input }) => ctx.useCases.keys.revoke(ctx.principal, input)),
});
