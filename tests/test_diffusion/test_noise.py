import torch

from trace_mm.diffusion import content_seed, seeded_noise


def test_the_seed_depends_on_content_and_seed_alone():
    image = torch.rand(3, 4, 6)
    assert content_seed(0, image) == content_seed(0, image.clone())
    assert content_seed(0, image) == content_seed(0, image.mT.contiguous().mT)
    assert content_seed(0, image) != content_seed(1, image)
    assert content_seed(0, image) != content_seed(0, image.reshape(3, 6, 4))
    assert content_seed(0, image) != content_seed(0, image + 1e-3)


def test_more_draws_keep_the_first_ones():
    three, one = seeded_noise(5, (2, 4), draws=3), seeded_noise(5, (2, 4))
    assert torch.equal(three[:1], one) and not torch.equal(three[0], three[1])
    assert not torch.equal(one, seeded_noise(6, (2, 4)))
