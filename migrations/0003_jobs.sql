CREATE TABLE `jobs` (
	`seq` integer PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`idempotency_key` text,
	`request_digest` text,
	`run_at` integer NOT NULL,
	`spec` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `jobs_key` ON `jobs` (`project_id`,`idempotency_key`) WHERE idempotency_key IS NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `retry_of` text;