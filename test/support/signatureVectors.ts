import type { TriggerScheme } from "../../src/contract/triggers.ts";

type Vector = {
  source: string;
  scheme: TriggerScheme;
  secret: string;
  headers: Record<string, string>;
  body: string;
  /** When it was sent, seconds since the epoch. */
  at: number;
};

/** Slack's example of a slash command, field by field. */
const slackCommand = new URLSearchParams({
  token: "xyzz0WbapA4vBCDEFasx0q6G",
  team_id: "T1DC2JH3J",
  team_domain: "testteamnow",
  channel_id: "G8PSS9T3V",
  channel_name: "foobar",
  user_id: "U2CERLKJA",
  user_name: "roadrunner",
  command: "/webhook-collect",
  text: "",
  response_url: "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN",
  trigger_id: "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
});

/** The event of Stripe's test, printed as it is there. */
const stripeEvent = {
  id: "evt_123",
  object: "event",
  account: "acct_123",
  api_version: "2017-05-25",
  created: 1533204620,
  data: {
    object: {
      id: "cus_123",
      object: "customer",
      created: 123456789,
      email: "test@stripe.com",
      livemode: false,
      metadata: {},
    },
  },
  livemode: false,
  pending_webhooks: 1,
  request: { id: "req_123", idempotency_key: "idempotency-key-123" },
  type: "customer.created",
};

/** Signatures that the senders themselves have published; none is of our making. */
export const publishedVectors: Vector[] = [
  {
    source: "Standard Webhooks (standard-webhooks/standard-webhooks, libraries/javascript/src/webhook.test.ts)",
    scheme: "standard",
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    headers: {
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    body: '{"test": 2432232314}',
    at: 1614265330,
  },
  {
    source: "OpenAI (openai/openai-node, tests/api-resources/webhooks.test.ts)",
    scheme: "openai",
    secret: "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
    headers: {
      "webhook-id": "wh_685c059ae39c8190af8c71ed1022a24d",
      "webhook-timestamp": "1750861210",
      "webhook-signature": "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
    },
    body: '{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}',
    at: 1750861210,
  },
  {
    source: "GitHub (docs.github.com, Validating webhook deliveries)",
    scheme: "github",
    secret: "It's a Secret to Everybody",
    headers: { "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" },
    body: "Hello, World!",
    at: 0,
  },
  {
    source: "Stripe (stripe/stripe-dotnet, src/StripeTests: EventUtilityTest.cs, event_test_signature.json)",
    scheme: "stripe",
    secret: "webhook_secret",
    headers: {
      "stripe-signature":
        "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef",
    },
    body: `${JSON.stringify(stripeEvent, null, 2)}\n`,
    at: 1533204620,
  },
  {
    source: "Slack (docs.slack.dev, Verifying requests from Slack)",
    scheme: "slack",
    secret: "8f742231b10e8888abcd99yyyzzz85a5",
    headers: {
      "x-slack-request-timestamp": "1531420618",
      "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    body: slackCommand.toString(),
    at: 1531420618,
  },
];
