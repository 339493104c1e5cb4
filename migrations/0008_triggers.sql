CREATE TABLE `events` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`trigger_id` text NOT NULL,
	`received_at` integer NOT NULL,
	`status` text NOT NULL,
	`run_id` text,
	`sender_id` text,
	`body_digest` text,
	`error` text,
	`content_type` text,
	`headers` text,
	`body` text,
	`expires_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `events_sender` ON `events` (`trigger_id`,`sender_id`) WHERE sender_id IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `events_body` ON `events` (`trigger_id`,`body_digest`) WHERE body_digest IS NOT NULL;--> statement-breakpoint
CREATE INDEX `events_trigger` ON `events` (`trigger_id`,`id`);--> statement-breakpoint
CREATE INDEX `events_status` ON `events` (`trigger_id`,`status`,`id`) WHERE status <> 'accepted';--> statement-breakpoint
CREATE INDEX `events_expires` ON `events` (`expires_at`) WHERE expires_at IS NOT NULL;--> statement-breakpoint
CREATE TABLE `triggers` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`name` text NOT NULL,
	`scheme` text NOT NULL,
	`hmac` text,
	`sealed_secret` text,
	`secret_hint` text NOT NULL,
	`sealed_previous` text,
	`previous_ends_at` integer,
	`template` text NOT NULL,
	`version` text,
	`variables` text NOT NULL,
	`filter` text,
	`priority` integer NOT NULL,
	`model` text,
	`params` text NOT NULL,
	`callback` text,
	`respond` text NOT NULL,
	`requests_per_minute` integer,
	`event_id` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`archived_at` integer
);
--> statement-breakpoint
CREATE INDEX `triggers_active` ON `triggers` (`project_id`,`id`) WHERE archived_at IS NULL;--> statement-breakpoint
CREATE INDEX `triggers_archived` ON `triggers` (`project_id`,`id`) WHERE archived_at IS NOT NULL;