/* A mutex: POSIX or Windows. */
#ifndef CA_BASE_LOCK_H
#define CA_BASE_LOCK_H

#ifdef _WIN32
#include <windows.h>
typedef SRWLOCK ca_lock;
static inline void ca_lock_init(ca_lock *lock) { InitializeSRWLock(lock); }
static inline void ca_lock_take(ca_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline void ca_lock_give(ca_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void ca_lock_destroy(ca_lock *lock) { (void)lock; }
#else
#include <pthread.h>
typedef pthread_mutex_t ca_lock;
static inline void ca_lock_init(ca_lock *lock) { pthread_mutex_init(lock, NULL); }
static inline void ca_lock_take(ca_lock *lock) { pthread_mutex_lock(lock); }
static inline void ca_lock_give(ca_lock *lock) { pthread_mutex_unlock(lock); }
static inline void ca_lock_destroy(ca_lock *lock) { pthread_mutex_destroy(lock); }
#endif

#endif
