import {
  EventPage,
  ListEventsInput,
  PreviewTriggerInput,
  ReplayEventInput,
  TriggerEvent,
  TriggerPreview,
} from "../../contract/events.ts";
import {
  CreateTriggerInput,
  ListTriggersInput,
  RotateTriggerSecretInput,
  Trigger,
  TriggerIdInput,
  TriggerPage,
  TriggerWithSecret,
  UpdateTriggerInput,
} from "../../contract/triggers.ts";
import { procedure, router } from "./init.ts";

const managed = procedure("webhooks:manage");

export const triggersRouter = router({
  /**
   * An address that starts completions of a template, with a secret that is shown this once. `not_found` without such a
   * template; what is wrong with an expression names its variable, or `filter`.
   */
  create: managed
    .input(CreateTriggerInput)
    .output(TriggerWithSecret)
    .mutation(({ ctx, input }) => ctx.useCases.triggers.create(ctx.principal, input)),

  /** Newest first: active ones, or with `archived` the others. */
  list: managed
    .input(ListTriggersInput)
    .output(TriggerPage)
    .query(({ ctx, input }) => ctx.useCases.triggers.list(ctx.principal, input)),

  get: managed
    .input(TriggerIdInput)
    .output(Trigger)
    .query(({ ctx, input }) => ctx.useCases.triggers.get(ctx.principal, input)),

  /** Changes what is given, for the events to come and for replays. Everywhere within 10 seconds. */
  update: managed
    .input(UpdateTriggerInput)
    .output(Trigger)
    .mutation(({ ctx, input }) => ctx.useCases.triggers.update(ctx.principal, input)),

  /** The variables and the messages that a sample or a stored event would come to; runs nothing. */
  preview: managed
    .input(PreviewTriggerInput)
    .output(TriggerPreview)
    .mutation(({ ctx, input }) => ctx.useCases.events.preview(ctx.principal, input)),

  /** A new secret, shown this once; the one before is taken too for `overlapSeconds`. */
  rotateSecret: managed
    .input(RotateTriggerSecretInput)
    .output(TriggerWithSecret)
    .mutation(({ ctx, input }) => ctx.useCases.triggers.rotateSecret(ctx.principal, input)),

  /** Closes the address for good. */
  archive: managed
    .input(TriggerIdInput)
    .output(Trigger)
    .mutation(({ ctx, input }) => ctx.useCases.triggers.archive(ctx.principal, input)),

  /** What a trigger has received, newest first. */
  events: managed
    .input(ListEventsInput)
    .output(EventPage)
    .query(({ ctx, input }) => ctx.useCases.events.list(ctx.principal, input)),

  /** Makes a run of an event that failed or was ignored, by the trigger as it is now. `conflict` when it has one. */
  replay: managed
    .input(ReplayEventInput)
    .output(TriggerEvent)
    .mutation(({ ctx, input }) => ctx.useCases.events.replay(ctx.principal, input)),
});
