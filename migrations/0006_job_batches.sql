ALTER TABLE `jobs` ADD `batch_index` integer;--> statement-breakpoint
ALTER TABLE `jobs` ADD `item_key` text;--> statement-breakpoint
ALTER TABLE `runs` ADD `batch_id` text;