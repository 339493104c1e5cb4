CREATE TABLE `endpoints` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`url` text NOT NULL,
	`own_host` text NOT NULL,
	`description` text NOT NULL,
	`events` text NOT NULL,
	`sealed_secret` text,
	`sealed_previous` text,
	`previous_until` integer,
	`disabled_reason` text,
	`disabled_at` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`archived_at` integer
);
--> statement-breakpoint
CREATE INDEX `endpoints_active` ON `endpoints` (`project_id`,`id`) WHERE archived_at IS NULL;--> statement-breakpoint
CREATE INDEX `endpoints_archived` ON `endpoints` (`project_id`,`id`) WHERE archived_at IS NOT NULL;