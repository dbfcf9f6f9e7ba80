from __future__ import annotations

import torch

from tastemaker.nn.fold_in import of_usual_length, ridge_users


def test_it_is_the_ridge_regression_of_each_history() -> None:
    torch.manual_seed(0)
    seen, goals, rows, others = torch.randn(7, 3), torch.randn(7), torch.tensor([0, 0, 0, 1, 1, 3, 3]), torch.randn(20, 3)
    found = ridge_users(seen, goals, rows, 4, 0.5, others)
    for user in range(4):
        user_vector = found[user].clone().requires_grad_()
        mine = rows == user
        cost = (goals[mine] - seen[mine] @ user_vector).square().sum() + 0.5 * user_vector.square().sum()
        (cost + (others @ user_vector).square().mean()).backward()
        torch.testing.assert_close(user_vector.grad, torch.zeros(3), atol=1e-4, rtol=0)
    assert not found[2].any()


def test_lengths_are_those_of_the_trained() -> None:
    vectors = of_usual_length(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [4.0, 0.0]]))
    torch.testing.assert_close(vectors, torch.tensor([[1.8, 2.4], [0.0, 0.0]]))
