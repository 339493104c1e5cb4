import { type Reply, replyOf, type Segment, textAnswer } from "./answer.ts";
import { lastUserText, type SimCall } from "./request.ts";

/** `sim/echo`: the last user message's text. */
export function echo(call: SimCall): Reply {
  return replyOf(call, () => textAnswer(lastUserText(call)));
}

/** What a model says when nothing asks for its particular ability. */
export function plainReply(call: SimCall): Reply {
  return replyOf(call, () => textAnswer(plainText(call)));
}

function plainText(call: SimCall): string {
  const prompt = lastUserText(call);
  return prompt === "" ? "This is a simulated answer." : `This is a simulated answer to: ${prompt}`;
}

const openings = ["Let me look at the request.", "First, what is being asked?", "I begin with the last message."];

/** `sim/reasoning`: thinks aloud, then answers. */
export function reasoning(call: SimCall): Reply {
  return replyOf(call, (choice) => {
    const opening = call.random(`reasoning ${choice}`).pick(openings);
    const messages = call.body.messages.length;
    const count = messages === 1 ? "There is 1 message" : `There are ${messages} messages`;
    const thought = `${opening} ${count}; the last one of the user says: “${lastUserText(call)}”. I will answer it plainly.`;
    const segments: Segment[] = [
      { kind: "reasoning", text: thought },
      { kind: "content", text: plainText(call) },
    ];
    return { segments, finishReason: "stop" };
  });
}
