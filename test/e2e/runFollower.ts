/** What a server-sent event carries. */
type Event = { id: string; name: string; data: string };

export type Followed = {
  /** The text as the last beginning has it. */
  text: string;
  /** How often the connection was lost. */
  losses: number;
  restarts: number;
  done: boolean;
};

export type FollowOptions = {
  url: string;
  authorization: string;
  /** Told of each event as it comes. */
  onEvent?: (count: number) => void;
};

/**
 * Follows a run as a page would with nothing but `fetch`: reads events, keeps the id of the last one, and comes back with
 * it whenever the connection breaks, until `[DONE]`.
 */
export async function followRun({ url, authorization, onEvent }: FollowOptions): Promise<Followed> {
  const followed: Followed = { text: "", losses: 0, restarts: 0, done: false };
  let lastEventId = "";
  let count = 0;
  while (!followed.done) {
    try {
      const headers = { authorization, ...(lastEventId && { "last-event-id": lastEventId }) };
      for await (const event of eventsOf(await fetch(url, { headers }))) {
        lastEventId = event.id;
        onEvent?.(++count);
        if (event.data === "[DONE]") {
          followed.done = true;
          break;
        }
        const data = JSON.parse(event.data);
        if (data.error) throw new Refused(data.error.message);
        if (event.name === "restart") {
          followed.text = "";
          followed.restarts++;
        }
        followed.text += data.choices[0]?.delta.content ?? "";
      }
    } catch (thrown) {
      if (thrown instanceof Refused) throw thrown;
      followed.losses++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return followed;
}

class Refused extends Error {}

/** Whole events only: one that the connection broke in is none. */
async function* eventsOf(response: Response): AsyncGenerator<Event> {
  if (!response.ok) throw new Refused(`${response.status}: ${await response.text()}`);
  let text = "";
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = new Map(text.slice(0, end).split("\n").map(field));
      text = text.slice(end + 2);
      const data = fields.get("data");
      if (data !== undefined) yield { id: fields.get("id") ?? "", name: fields.get("event") ?? "message", data };
    }
  }
}

function field(line: string): [string, string] {
  const colon = line.indexOf(": ");
  return [line.slice(0, colon), line.slice(colon + 2)];
}
