ALTER TABLE `projects` ADD `max_jobs` integer;--> statement-breakpoint
ALTER TABLE `upstreams` ADD `max_jobs` integer;