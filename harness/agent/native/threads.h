/* Threads, a lock and a condition by the same names on both systems: what POSIX and Windows share and no more. */
#ifndef OVERHEAD_THREADS_H
#define OVERHEAD_THREADS_H

#ifdef _WIN32

#include <errno.h>
#include <windows.h>

#define THREAD_RESULT DWORD WINAPI
typedef HANDLE thread_t;
typedef SRWLOCK lock_t;
typedef CONDITION_VARIABLE condition_t;
#define LOCK_INITIAL SRWLOCK_INIT
#define CONDITION_INITIAL CONDITION_VARIABLE_INIT

static inline int thread_start(thread_t *thread, DWORD(WINAPI *function)(void *), void *argument)
{
    *thread = CreateThread(NULL, 0, function, argument, 0, NULL);
    return *thread == NULL ? EAGAIN : 0;
}

static inline void thread_join(thread_t thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

#define lock_acquire(lock) AcquireSRWLockExclusive(lock)
#define lock_release(lock) ReleaseSRWLockExclusive(lock)
#define condition_wait(condition, lock) SleepConditionVariableSRW(condition, lock, INFINITE, 0)
#define condition_wake_all(condition) WakeAllConditionVariable(condition)

#else

#include <pthread.h>

#define THREAD_RESULT void *
typedef pthread_t thread_t;
typedef pthread_mutex_t lock_t;
typedef pthread_cond_t condition_t;
#define LOCK_INITIAL PTHREAD_MUTEX_INITIALIZER
#define CONDITION_INITIAL PTHREAD_COND_INITIALIZER

static inline int thread_start(thread_t *thread, void *(*function)(void *), void *argument)
{
    return pthread_create(thread, NULL, function, argument);
}

static inline void thread_join(thread_t thread)
{
    pthread_join(thread, NULL);
}

#define lock_acquire(lock) pthread_mutex_lock(lock)
#define lock_release(lock) pthread_mutex_unlock(lock)
#define condition_wait(condition, lock) pthread_cond_wait(condition, lock)
#define condition_wake_all(condition) pthread_cond_broadcast(condition)

#endif
#endif
