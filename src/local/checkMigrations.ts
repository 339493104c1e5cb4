import { missingMigration } from "./migrationsInStep.ts";
import { runMain, StartError } from "./project.ts";

await runMain(async () => {
  const missing = await missingMigration();
  if (missing === null) return console.log("The migrations are in step with the schema in src/store.");
  throw new StartError(`The schema in src/store has changed: run npm run migrations:generate. Missing:\n\n${missing}`);
});
