"""Chromium as viewer and as camera, against endpoints of a few lines."""

import asyncio
import re

import pytest
from playwright.async_api import Page

from relay.transport import sdp
from tests.support.chromium import page_at
from tests.support.endpoints import Admitted, Endpoints
from tests.support.nat import Nat
from tests.support.ports import TestSender, encode, live_port, until

pytestmark = pytest.mark.e2e


async def _watch(page: Page, endpoints: Endpoints, slots: int) -> tuple[Admitted, sdp.ViewerAnswer]:
    await page.evaluate(f"watch({slots})")
    viewer = endpoints.sessions[-1]
    assert isinstance(viewer.answer, sdp.ViewerAnswer)
    await asyncio.wait_for(viewer.handler.connected.wait(), 30)
    return viewer, viewer.answer


async def _decoded(page: Page, least: int, slots: int = 1) -> list[int]:
    async with asyncio.timeout(60):
        while True:
            counts: list[int] = await page.evaluate("decoded()")
            if len(counts) == slots and min(counts) >= least:
                return counts
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("profile", ["baseline", "high"])
async def test_chromium_decodes_any_profile_on_the_payload_type_we_choose(profile: str) -> None:
    frames = encode(60, profile=profile)
    async with live_port() as port, Endpoints(port).serving() as endpoints, page_at(endpoints.url) as page:
        viewer, answer = await _watch(page, endpoints, 1)
        assert "42001f" in answer.videos[0].codec.fmtp
        assert viewer.peer.srtp.profile == "SRTP_AEAD_AES_128_GCM"
        sending = asyncio.create_task(TestSender(port, viewer.peer, answer.videos[0], frames).run())
        await _decoded(page, 20)
        assert viewer.handler.rtcp, "Chromium sends receiver reports"
        sending.cancel()


async def test_a_wall_of_four_slots_shows_all_of_them_over_one_connection() -> None:
    frames = encode(60)
    async with live_port() as port, Endpoints(port).serving() as endpoints, page_at(endpoints.url) as page:
        viewer, answer = await _watch(page, endpoints, 4)
        senders = [TestSender(port, viewer.peer, slot, frames) for slot in answer.videos]
        tasks = [asyncio.create_task(sender.run()) for sender in senders]
        await _decoded(page, 15, slots=4)
        for task in tasks:
            task.cancel()


async def test_an_ice_restart_by_fragment_keeps_the_picture() -> None:
    frames = encode(60)
    async with live_port() as port, Endpoints(port).serving() as endpoints, page_at(endpoints.url) as page:
        viewer, answer = await _watch(page, endpoints, 1)
        sending = asyncio.create_task(TestSender(port, viewer.peer, answer.videos[0], frames).run())
        before = await _decoded(page, 10)
        ufrag = await page.evaluate("restart()")
        await until(lambda: viewer.peer.local.ufrag == ufrag)
        await _decoded(page, before[0] + 20)
        assert not viewer.peer.closed
        sending.cancel()


async def test_a_viewer_whose_nat_changes_its_mapping_gets_its_picture_back() -> None:
    frames = encode(60)
    async with live_port() as port, Nat(("127.0.0.1", port.port)).running() as nat:
        endpoints = Endpoints(port, rewrite=lambda text: text.replace(f" {port.port} ", f" {nat.port} "))
        async with endpoints.serving(), page_at(endpoints.url) as page:
            viewer, answer = await _watch(page, endpoints, 1)
            sending = asyncio.create_task(TestSender(port, viewer.peer, answer.videos[0], frames).run())
            await _decoded(page, 10)
            assert viewer.peer.ice.selected == nat.outside
            nat.rebind()
            await until(lambda: viewer.peer.ice.selected == nat.outside)
            before = await _decoded(page, 1)
            await _decoded(page, before[0] + 20)
            sending.cancel()


async def test_chromium_publishes_h264_and_its_simulcast_layers_are_distinguished() -> None:
    async with live_port() as port, Endpoints(port).serving() as endpoints, page_at(endpoints.url) as page:
        await page.evaluate("publish([{rid: 'l', scaleResolutionDownBy: 2}, {rid: 'h'}])")
        camera = endpoints.sessions[-1]
        assert isinstance(camera.answer, sdp.PublisherAnswer)
        assert camera.answer.video.rids == ("l", "h")
        assert camera.answer.video.extensions.rid is not None
        assert camera.answer.video.extensions.transport_cc is not None
        async with asyncio.timeout(60):
            await camera.handler.connected.wait()
            await camera.handler.has_rtp(30)


async def test_chromium_watches_over_tcp_where_udp_is_blocked() -> None:
    frames = encode(60)
    async with live_port() as port:
        await port.start_tcp()
        endpoints = Endpoints(port, rewrite=lambda text: re.sub(r"a=candidate:\S+ 1 udp .*\r\n", "", text))
        async with endpoints.serving(), page_at(endpoints.url) as page:
            viewer, answer = await _watch(page, endpoints, 1)
            assert viewer.peer.ice.selected is not None
            assert viewer.peer.ice.selected[0] == "tcp!127.0.0.1"
            sending = asyncio.create_task(TestSender(port, viewer.peer, answer.videos[0], frames).run())
            await _decoded(page, 20)
            sending.cancel()
