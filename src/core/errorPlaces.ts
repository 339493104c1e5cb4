import { AppError } from "./errors.ts";

/**
 * An error with its param as the door's callers know it: use cases name `template`, `variables.X` or `runAt`, and each
 * door has places of its own for these. What names no such place is returned as it is.
 */
export function atPlace(thrown: unknown, places: Readonly<Record<string, string>>): unknown {
  if (!(thrown instanceof AppError) || thrown.param === null) return thrown;
  const placeOf = (param: string) => Object.entries(places).find(([name]) => name === param)?.[1];
  const [first = "", ...rest] = thrown.param.split(".");
  const place = placeOf(first);
  const param = placeOf(thrown.param) ?? (place === undefined ? thrown.param : [place, ...rest].join("."));
  if (param === thrown.param) return thrown;
  const message = thrown.message.replace(`${thrown.param}:`, `${param}:`);
  const { code, details, retryAfterSeconds, headers } = thrown;
  return new AppError(code, message, {
    param,
    cause: thrown,
    headers,
    ...(details && { details }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
