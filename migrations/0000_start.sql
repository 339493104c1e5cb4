CREATE TABLE `keys` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`kind` text NOT NULL,
	`name` text NOT NULL,
	`digest` text NOT NULL,
	`hint` text NOT NULL,
	`scopes` text NOT NULL,
	`origins` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	`rotated_from` text,
	`quota_id` text NOT NULL,
	`requests_per_minute` integer,
	`tokens_per_day` integer,
	`cost_per_day_micros` integer,
	`cost_per_day_currency` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `keys_digest` ON `keys` (`digest`);--> statement-breakpoint
CREATE INDEX `keys_project` ON `keys` (`project_id`,`id`);--> statement-breakpoint
CREATE INDEX `keys_rotated` ON `keys` (`project_id`,`rotated_from`,`id`) WHERE rotated_from IS NOT NULL;--> statement-breakpoint
CREATE TABLE `label_moves` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`template_id` text NOT NULL,
	`label` text NOT NULL,
	`from_version` integer,
	`to_version` integer NOT NULL,
	`moved_by` text NOT NULL,
	`moved_at` integer NOT NULL,
	`breaking` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `label_moves_template` ON `label_moves` (`project_id`,`template_id`,`id`);--> statement-breakpoint
CREATE INDEX `label_moves_label` ON `label_moves` (`project_id`,`template_id`,`label`,`id`);--> statement-breakpoint
CREATE TABLE `projects` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`keep_contents` integer DEFAULT true NOT NULL,
	`retention_days` integer,
	`tokens_per_day` integer,
	`cost_per_day_micros` integer,
	`cost_per_day_currency` text,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `run_contents` (
	`seq` integer PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`request` text NOT NULL,
	`answer` text NOT NULL,
	`cut` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `runs` (
	`seq` integer PRIMARY KEY NOT NULL,
	`id` text NOT NULL,
	`project_id` text NOT NULL,
	`status` text NOT NULL,
	`source` text NOT NULL,
	`simulated` integer NOT NULL,
	`stream` integer NOT NULL,
	`created_at` integer NOT NULL,
	`key_id` text NOT NULL,
	`template_id` text,
	`template_name` text,
	`template_version` integer,
	`version_id` text,
	`label` text,
	`partials` text,
	`model_asked` text NOT NULL,
	`model_answered` text,
	`upstream` text,
	`error_code` text,
	`error_message` text,
	`finish_reason` text,
	`malformed` integer DEFAULT false NOT NULL,
	`attempts` text,
	`prompt_tokens` integer,
	`completion_tokens` integer,
	`reasoning_tokens` integer,
	`usage_source` text DEFAULT 'unknown' NOT NULL,
	`cost_micros` integer,
	`cost_currency` text,
	`queue_ms` integer,
	`headers_ms` integer,
	`first_token_ms` integer,
	`total_ms` integer,
	`output_valid` integer,
	`metadata` text NOT NULL,
	`score` real,
	`score_comment` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `runs_id` ON `runs` (`id`);--> statement-breakpoint
CREATE INDEX `runs_project` ON `runs` (`project_id`,`seq`);--> statement-breakpoint
CREATE INDEX `runs_live` ON `runs` (`project_id`,`seq`) WHERE status IN ('queued', 'running');--> statement-breakpoint
CREATE TABLE `template_labels` (
	`project_id` text NOT NULL,
	`template_id` text NOT NULL,
	`label` text NOT NULL,
	`version` integer NOT NULL,
	`updated_at` integer NOT NULL,
	PRIMARY KEY(`project_id`, `template_id`, `label`)
);
--> statement-breakpoint
CREATE TABLE `template_versions` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`template_id` text NOT NULL,
	`version` integer NOT NULL,
	`content` text NOT NULL,
	`content_digest` text NOT NULL,
	`variables` text NOT NULL,
	`note` text NOT NULL,
	`created_by` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `template_versions_number` ON `template_versions` (`project_id`,`template_id`,`version`);--> statement-breakpoint
CREATE UNIQUE INDEX `template_versions_content` ON `template_versions` (`project_id`,`template_id`,`content_digest`);--> statement-breakpoint
CREATE TABLE `templates` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`name` text NOT NULL,
	`description` text NOT NULL,
	`kind` text NOT NULL,
	`listed` integer NOT NULL,
	`archived_at` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `templates_name` ON `templates` (`project_id`,`name`);--> statement-breakpoint
CREATE INDEX `templates_active` ON `templates` (`project_id`,`name`) WHERE archived_at IS NULL;--> statement-breakpoint
CREATE INDEX `templates_archived` ON `templates` (`project_id`,`name`) WHERE archived_at IS NOT NULL;--> statement-breakpoint
CREATE TABLE `upstreams` (
	`id` text PRIMARY KEY NOT NULL,
	`project_id` text NOT NULL,
	`name` text NOT NULL,
	`base_url` text NOT NULL,
	`sealed_key` text,
	`key_hint` text,
	`sealed_headers` text,
	`header_names` text NOT NULL,
	`models` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`archived_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `upstreams_active` ON `upstreams` (`project_id`,`name`) WHERE archived_at IS NULL;--> statement-breakpoint
CREATE INDEX `upstreams_archived` ON `upstreams` (`project_id`,`id`) WHERE archived_at IS NOT NULL;--> statement-breakpoint
CREATE TABLE `budget_daily` (
	`project_id` text NOT NULL,
	`day` text NOT NULL,
	`quota_id` text NOT NULL,
	`currency` text NOT NULL,
	`tokens` integer NOT NULL,
	`cost_micros` integer NOT NULL,
	PRIMARY KEY(`project_id`, `day`, `quota_id`, `currency`)
);
--> statement-breakpoint
CREATE TABLE `idempotency` (
	`project_id` text NOT NULL,
	`key` text NOT NULL,
	`request_digest` text NOT NULL,
	`claim_id` text NOT NULL,
	`expires_at` integer NOT NULL,
	`status` integer,
	`run_id` text,
	`model` text,
	`body` text,
	PRIMARY KEY(`project_id`, `key`)
);
--> statement-breakpoint
CREATE INDEX `idempotency_run` ON `idempotency` (`project_id`,`run_id`) WHERE run_id IS NOT NULL;--> statement-breakpoint
CREATE TABLE `model_prices` (
	`project_id` text NOT NULL,
	`model` text NOT NULL,
	`input_micros_per_million` integer NOT NULL,
	`output_micros_per_million` integer NOT NULL,
	`currency` text NOT NULL,
	`updated_at` integer NOT NULL,
	PRIMARY KEY(`project_id`, `model`)
);
--> statement-breakpoint
CREATE TABLE `usage_daily` (
	`project_id` text NOT NULL,
	`day` text NOT NULL,
	`template_name` text NOT NULL,
	`template_version` integer NOT NULL,
	`model` text NOT NULL,
	`key_id` text NOT NULL,
	`currency` text NOT NULL,
	`runs` integer NOT NULL,
	`succeeded` integer NOT NULL,
	`failed` integer NOT NULL,
	`cancelled` integer NOT NULL,
	`interrupted` integer NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`reasoning_tokens` integer NOT NULL,
	`cost_micros` integer NOT NULL,
	`cost_unknown` integer NOT NULL,
	`first_token_ms_sum` integer NOT NULL,
	`first_token_count` integer NOT NULL,
	`total_ms_sum` integer NOT NULL,
	`total_count` integer NOT NULL,
	PRIMARY KEY(`project_id`, `day`, `template_name`, `template_version`, `model`, `key_id`, `currency`)
);
