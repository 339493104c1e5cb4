-- Rows of aggregates live in their primary key: without a row id a new one is one row written, not two.
CREATE TABLE `__new_usage_daily` (
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
) WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `__new_usage_daily` SELECT * FROM `usage_daily`;
--> statement-breakpoint
DROP TABLE `usage_daily`;
--> statement-breakpoint
ALTER TABLE `__new_usage_daily` RENAME TO `usage_daily`;
--> statement-breakpoint
CREATE TABLE `__new_budget_daily` (
	`project_id` text NOT NULL,
	`day` text NOT NULL,
	`quota_id` text NOT NULL,
	`currency` text NOT NULL,
	`tokens` integer NOT NULL,
	`cost_micros` integer NOT NULL,
	PRIMARY KEY(`project_id`, `day`, `quota_id`, `currency`)
) WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `__new_budget_daily` SELECT * FROM `budget_daily`;
--> statement-breakpoint
DROP TABLE `budget_daily`;
--> statement-breakpoint
ALTER TABLE `__new_budget_daily` RENAME TO `budget_daily`;
