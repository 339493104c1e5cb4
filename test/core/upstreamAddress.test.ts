import { describe, expect, it } from "vitest";
import { checkedBaseUrl } from "../../src/core/upstreamAddress.ts";

const refused = expect.objectContaining({ code: "invalid_request", param: "baseUrl" });
const check = (text: string, allowLoopback: boolean) => () => checkedBaseUrl(text, allowLoopback);

describe("a base URL", () => {
  it.each([
    ["https://api.example.com/v1", "https://api.example.com/v1"],
    ["https://API.Example.com:443/v1//", "https://api.example.com/v1"],
    ["https://api.example.com", "https://api.example.com"],
    ["https://api.example.com:8443/a/b/", "https://api.example.com:8443/a/b"],
    ["https://bücher.example/v1", "https://xn--bcher-kva.example/v1"],
  ])("%s has one form", (text, form) => {
    expect(checkedBaseUrl(text, false)).toBe(form);
    expect(checkedBaseUrl(text, true)).toBe(form);
  });

  it.each([
    "",
    "api.example.com/v1",
    "/v1",
    "http://api.example.com/v1",
    "ftp://api.example.com/v1",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://user@api.example.com/v1",
    "https://user:pass@api.example.com/v1",
    "https://api.example.com/v1?key=x",
    "https://api.example.com/v1?",
    "https://api.example.com/v1#x",
    "https://api.example.com/v1#",
    "https://10.0.0.1/v1",
    "https://169.254.169.254/latest",
    "https://8.8.8.8/v1",
    "https://0xa9fea9fe/v1",
    "https://[::ffff:169.254.169.254]/v1",
    "https://[fd00::1]/v1",
    "https://metadata.google.internal/v1",
    "https://printer.local/v1",
    "https://printer.local./v1",
    "https://intranet/v1",
  ])("%s is refused everywhere", (text) => {
    expect(check(text, false)).toThrow(refused);
    expect(check(text, true)).toThrow(refused);
  });

  it.each([
    "http://127.0.0.1:8080/v1",
    "http://localhost:8080/v1",
    "https://localhost/v1",
    "http://api.localhost/v1",
    "http://127.1/v1",
    "http://2130706433/v1",
    "http://[::1]:8080/v1",
  ])("%s is allowed where this machine may be called, and nowhere else", (text) => {
    expect(check(text, true)).not.toThrow();
    expect(check(text, false)).toThrow(refused);
  });
});
