import {
  CreateUpstreamInput,
  ListUpstreamsInput,
  TestUpstreamInput,
  UpdateUpstreamInput,
  Upstream,
  UpstreamIdInput,
  UpstreamPage,
  UpstreamTest,
} from "../../contract/upstreams.ts";
import { procedure, router } from "./init.ts";

const managed = procedure("upstreams:manage");

export const upstreamsRouter = router({
  /** An upstream of the project, addressed as `NAME/model`. Its key and headers are kept encrypted and never shown. */
  create: managed
    .input(CreateUpstreamInput)
    .output(Upstream)
    .mutation(({ ctx, input }) => ctx.useCases.upstreams.create(ctx.principal, input)),

  /** Newest first: active ones, or with `archived` the others. */
  list: managed
    .input(ListUpstreamsInput)
    .output(UpstreamPage)
    .query(({ ctx, input }) => ctx.useCases.upstreams.list(ctx.principal, input)),

  /** Changes what is given; a new `baseUrl` needs the key, and the headers, given again. Everywhere within 10 seconds. */
  update: managed
    .input(UpdateUpstreamInput)
    .output(Upstream)
    .mutation(({ ctx, input }) => ctx.useCases.upstreams.update(ctx.principal, input)),

  /** Asks the upstream for one token, which it may bill, and tells what came of it. */
  test: managed
    .input(TestUpstreamInput)
    .output(UpstreamTest)
    .mutation(({ ctx, input }) => ctx.useCases.upstreams.test(ctx.principal, input)),

  /** Ends an upstream for good and drops its key; its name can be used again. */
  archive: managed
    .input(UpstreamIdInput)
    .output(Upstream)
    .mutation(({ ctx, input }) => ctx.useCases.upstreams.archive(ctx.principal, input)),
});
