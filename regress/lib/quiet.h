/* A log that nobody reads. */

#ifndef REGRESS_LIB_QUIET_H
#define REGRESS_LIB_QUIET_H

/* Log lines go nowhere from here on, until log_capture() says otherwise. */
void	quiet_log(void);

#endif
