"""Capacity: where doubling the lanes ends."""

import pytest
import torch

from leadline.trainers.capacity import SPARE, capacity


class Device:
    """Counts what was measured. A step of K lanes takes `seconds(K)` and needs `base + K * lane` bytes."""

    def __init__(self, seconds=lambda lanes: 1.0, base=0, lane=0, out_of_memory_from=None):
        self.seconds, self.base, self.lane, self.out_of_memory_from = seconds, base, lane, out_of_memory_from
        self.measured = []

    def __call__(self, lanes):
        self.measured.append(lanes)
        if self.out_of_memory_from is not None and lanes >= self.out_of_memory_from:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.seconds(lanes), self.base + lanes * self.lane


@pytest.mark.parametrize(("most", "found"), [(1, 1), (2, 2), (3, 2), (16, 16), (100, 64)])
def test_lanes_that_cost_no_time_are_doubled_up_to_the_most(most, found):
    device = Device()
    assert capacity(device, most=most) == found
    assert device.measured == [2**k for k in range(len(device.measured))]
    assert device.measured[-1] == found


def test_doubling_ends_where_throughput_no_longer_grows():
    device = Device(seconds=lambda lanes: max(1.0, lanes / 8))
    assert capacity(device, most=256) == 8
    assert device.measured == [1, 2, 4, 8, 16]


def test_lanes_that_are_no_faster_together_stay_alone():
    device = Device(seconds=float)
    assert capacity(device, most=256) == 1
    assert device.measured == [1, 2]


def test_a_gain_of_a_tenth_is_worth_it_and_less_is_not():
    assert capacity(Device(seconds=lambda lanes: lanes**0.85), most=4) == 4
    assert capacity(Device(seconds=lambda lanes: lanes**0.9), most=4) == 1


@pytest.mark.parametrize(("base", "lane"), [(0, 10), (100, 10), (500, 1)])
def test_a_size_that_is_predicted_not_to_fit_is_never_measured(base, lane):
    free = 1000
    device = Device(base=base, lane=lane)
    found = capacity(device, most=4096, free=free)
    fits = [2**k for k in range(13) if base + 2**k * lane <= SPARE * free]
    assert found == device.measured[-1]
    assert found in (fits[-1], *fits[-2:-1], 1)
    assert set(device.measured) <= set(fits)


def test_what_fits_is_found_where_each_lane_needs_the_same():
    assert capacity(Device(base=100, lane=10), most=4096, free=1000) == 64  # 740 of 800 bytes


def test_a_first_lane_that_needs_most_of_the_memory_stays_alone():
    device = Device(lane=600)
    assert capacity(device, most=256, free=1000) == 1
    assert device.measured == [1]


def test_without_a_limit_memory_does_not_matter():
    assert capacity(Device(lane=10**12), most=32, free=None) == 32


def test_running_out_of_memory_in_spite_of_the_prediction_ends_it():
    device = Device(lane=1, out_of_memory_from=8)
    assert capacity(device, most=256, free=10**9) == 4
    assert device.measured == [1, 2, 4, 8]


def test_memory_that_shrinks_with_the_lanes_is_no_trouble():
    def measure(lanes):
        return 1.0, 100 // lanes

    assert capacity(measure, most=16, free=1000) == 16
