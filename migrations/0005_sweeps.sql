CREATE TABLE `sweeps` (
	`name` text PRIMARY KEY NOT NULL,
	`cursor` text NOT NULL
);
--> statement-breakpoint
ALTER TABLE `run_contents` ADD `expires_at` integer;--> statement-breakpoint
CREATE INDEX `run_contents_expires` ON `run_contents` (`expires_at`) WHERE expires_at IS NOT NULL;--> statement-breakpoint
CREATE INDEX `idempotency_expires` ON `idempotency` (`expires_at`);