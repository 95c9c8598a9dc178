"""The line over radios that lose: what retransmission can fill leaves no gap."""

import pytest

from sim_cameras.impair import Network
from sim_cameras.impair_proxy import ImpairProxy
from tests.e2e.conftest import Scene
from tests.support.chromium import Chromium, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SOUND = "audio"
RADIO = ("--loss", "0.03", "--delay", "0.02")


async def test_a_camera_on_a_lossy_radio_is_recorded_without_a_gap_in_its_picture(scene: Scene) -> None:
    async with scene.simulated("cam1", flags=RADIO), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        (folder,) = scene.relay.recordings()
        await scene.relay.sealed(folder, 8000)
    assert await scene.relay.stop() == 0
    code, verdict = scene.relay.verify(folder)
    assert code == 0, verdict
    # Sound is not retransmitted (nor is it by browsers): 20 ms that are lost stay lost, and are gaps.
    gaps = [note["values"] for note in verdict["notes"] if note["code"] == "gap" and note["values"]["cause"] == "radio"]
    assert {gap["track"] for gap in gaps} == {SOUND}


async def test_a_viewer_on_a_lossy_network_asks_again_and_goes_on(scene: Scene, browser: Chromium) -> None:
    radio = Network(loss=0.05, delay=0.02)
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        intervention = await marie.intervention()
        target = ("127.0.0.1", scene.relay.udp_port)
        async with ImpairProxy(target, Network(), Network(), 5).running() as proxy:
            page = await browser.viewer(scene.relay.url, marie.cookies())
            ports = {str(scene.relay.udp_port): str(proxy.port)}
            posted = await page.watch("cam1", scene.whep("cam1", intervention), headers=marie.headers(), ports=ports)
            assert posted.status == 201, posted.body
            await page.frames("cam1", 5)
            proxy.set_network(radio, radio)

            async def repaired() -> bool:
                report = await page.report("cam1", "inbound-rtp", "video")
                return bool(report.get("retransmittedPacketsReceived", 0) >= 5)

            await until(repaired, 90, "five packets to be sent again")
            before = (await page.report("cam1", "inbound-rtp", "video"))["framesDecoded"]
            await page.frames("cam1", before + 60)
            lost = sum(down.lost for _, down in proxy.tallies())
        assert lost > 5
