/* The version of all programs. */

#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define HEADSCALED_VERSION	"0.1"

#endif
