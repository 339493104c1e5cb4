ALTER TABLE `jobs` ADD `batch_index` integer;--> statement-breakpoint
ALTER TABLE `jobs` ADD `item_key` text;--> statement-breakpoint
ALTER TABLE `runs` ADD `batch_id` text;--> statement-breakpoint
CREATE INDEX `runs_batch` ON `runs` (`batch_id`,`seq`) WHERE batch_id IS NOT NULL;