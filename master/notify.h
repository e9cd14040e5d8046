/* What a service manager is told (sd_notify(3)'s protocol). */

#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

/*
 * Takes NOTIFY_SOCKET out of the environment; without it notify() does
 * nothing.
 */
void	notify_init(void);
/* Sends "READY=1", "STATUS=...": one or several lines. */
void	notify(const char *, ...) __attribute__((__format__(printf, 1, 2)));

#endif
