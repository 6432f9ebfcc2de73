/* Faster by more than noise: in the median, and in most rounds. */
#include "turns.h"

#include "asserts.h"

enum { ROUNDS = 4 };

static void check(bool want, const double ms[ROUNDS], double median, const double other[ROUNDS], double other_median)
{
  assert_int_equal(want, turns_are_faster((turns){ms, median}, (turns){other, other_median}, ROUNDS));
}

static void faster_in_the_median_and_in_three_rounds_of_four(void **state)
{
  (void)state;
  const double own[ROUNDS] = {10, 10, 10, 10}, clear[ROUNDS] = {9, 9, 9, 9}, little[ROUNDS] = {9.9, 9.9, 9.9, 9.9};
  const double three[ROUNDS] = {9, 9, 9, 30}, two[ROUNDS] = {9, 9, 11, 11};
  check(true, clear, 9, own, 10);
  check(true, three, 9, own, 10);
  check(false, two, 9, own, 10); /* a median that two rounds of luck made */
  check(false, little, 9.9, own, 10);
  check(false, own, 10, own, 10);
  check(false, own, 10, clear, 9);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(faster_in_the_median_and_in_three_rounds_of_four)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
